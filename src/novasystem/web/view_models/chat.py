"""What the chat shows: conversations at the left, one of them with what was said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from novasystem.benchmarks.reports.words import rate, seconds
from novasystem.chat.figures import figures
from novasystem.chat.records import Conversation, Options, Talk
from novasystem.chat.schemas import MAX_MESSAGE_CHARS, MAX_TITLE_CHARS
from novasystem.engines.protocol import Model
from novasystem.runs.records import Run
from novasystem.runs.state import ENDED
from novasystem.threads.records import Item
from novasystem.web.markdown import render_markdown
from novasystem.web.view_models.words import Moment, model_detail

__all__ = ["ChatView", "Choice", "Entry", "Said", "choices", "said"]

_WHY = {
    "max_tokens": "Cut off: the answer reached its limit of tokens.",
    "content_filter": "Cut off by the model's own filter.",
    "run_cancelled": "Stopped before it was whole.",
    "run_expired": "Not done within its time.",
    "run_failed": "Broken off.",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A model to choose."""

    name: str
    detail: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A conversation in the list."""

    id: str
    title: str
    at: Moment
    here: bool
    busy: bool


@dataclass(frozen=True, slots=True)
class Said:
    """One message. ``html``: of a model's, rendered; ``text``: as it was written.

    ``problem``: why there is no answer, or not all of it; ``hint``: what to try.
    """

    id: str
    by_user: bool
    who: str
    text: str
    html: str
    at: Moment
    told: str
    problem: str
    hint: str
    run_id: str


@dataclass(frozen=True, slots=True)
class ChatView:
    """``models``: ``None`` where an engine keeps us waiting. ``active_run``: the answer that is
    being given now. ``earlier``: the message before which there is more."""

    entries: tuple[Entry, ...]
    more_after: str
    id: str
    title: str
    named: bool
    said: tuple[Said, ...]
    earlier: str
    active_run: str
    models: tuple[Choice, ...] | None
    options: Mapping[str, object]
    model: str = ""
    most_chars: int = MAX_MESSAGE_CHARS
    most_title: int = MAX_TITLE_CHARS

    @classmethod
    def of(
        cls,
        conversations: Sequence[Conversation],
        more: bool,
        models: Mapping[str, Model] | None,
        default_model: str,
        talk: Talk | None = None,
    ) -> "ChatView":
        here = None if talk is None else talk.conversation
        shown = "" if here is None else str(UUID(here.id))
        model = default_model if here is None else here.last.request.get("model", default_model)
        options = Options() if here is None else Options.of(here.last.request)
        messages = () if talk is None else said(talk.items, talk.runs)
        return cls(
            entries=tuple(_entry(one, shown) for one in conversations),
            more_after=str(UUID(conversations[-1].id)) if more else "",
            id=shown,
            title="" if here is None else here.title,
            named=here is not None and here.named,
            said=messages,
            # Not of what is shown: what is still being written may be all that there is here.
            earlier=talk.items[0].id if talk is not None and talk.earlier else "",
            active_run="" if here is None else here.active_run or "",
            models=None if models is None else choices(models, model),
            options={"system": options.system or "", **options.sampling.given()},
            model=model,
        )


def choices(models: Mapping[str, Model], chosen: str) -> tuple[Choice, ...]:
    """The models that can be talked to; the chosen one is there even where it does not answer."""
    found = [
        Choice(name, model_detail(model), name == chosen) for name, model in sorted(models.items())
    ]
    if not any(one.chosen for one in found) and chosen:
        found.insert(0, Choice(chosen, "does not answer now", True))
    return tuple(found)


def said(items: Sequence[Item], runs: Mapping[str, Run]) -> tuple[Said, ...]:
    """The messages among ``items``; what is still being written is left out."""
    answered = {item.run_id for item in items if item.role == "assistant"}
    shown = (item for item in items if item.kind == "message" and not _open(item, runs))
    return tuple(_said(item, runs.get(item.run_id or ""), answered) for item in shown)


def _open(item: Item, runs: Mapping[str, Run]) -> bool:
    run = runs.get(item.run_id or "")
    return item.status == "in_progress" or (
        item.role == "assistant" and run is not None and run.status not in ENDED
    )


def _said(item: Item, run: Run | None, answered: Iterable[str | None]) -> Said:
    by_user = item.role == "user"
    problem = _WHY.get(item.incomplete_reason or "", "")
    failed = run is not None and run.status in ENDED and run.status != "completed"
    hint = ""
    if run is not None and failed:
        if run.error is not None and (not by_user or item.run_id not in answered):
            problem = problem or "There is no answer."
            hint = run.error["message"]
        elif by_user and item.run_id not in answered:
            problem = "Stopped before an answer began."
    model = "" if run is None else str(run.request.get("model") or "")
    return Said(
        id=item.id,
        by_user=by_user,
        who="You" if by_user else model or "Model",
        text=item.content,
        html="" if by_user else render_markdown(item.content),
        at=Moment.of_ms(item.created_at),
        told="" if by_user else _told(item, run),
        problem=problem,
        hint=hint,
        run_id=item.run_id or "",
    )


def _told(item: Item, run: Run | None) -> str:
    """How much it was and how fast it came."""
    known = figures(item, run)
    parts = []
    if item.token_count is not None:
        about = "" if item.token_count_exact else "about "
        parts.append(f"{about}{item.token_count:,} token{'' if item.token_count == 1 else 's'}")
    if known.ttft_s is not None:
        parts.append(f"first after {seconds(known.ttft_s)}")
    if known.tokens_per_s is not None:
        parts.append(f"{rate(known.tokens_per_s)} tokens/s")
    if run is not None and run.details is not None and run.details.get("left_out_items"):
        parts.append(f"{run.details['left_out_items']} older messages not shown to the model")
    return " · ".join(parts)


def _entry(conversation: Conversation, here: str) -> Entry:
    shown = str(UUID(conversation.id))
    at = Moment.of_ms(conversation.last.created_at)
    busy = conversation.active_run is not None
    return Entry(shown, conversation.title, at, shown == here, busy)
