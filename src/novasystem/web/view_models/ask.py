"""What the page of asks shows: sessions at the left, each ask as a tree with its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from novasystem.benchmarks.reports.words import seconds
from novasystem.engines.protocol import Model
from novasystem.nova.encode import answer
from novasystem.nova.progress import Progress
from novasystem.nova.schemas import MAX_PROMPT_CHARS
from novasystem.nova.service import Session
from novasystem.runs.records import Run
from novasystem.web.markdown import render_markdown
from novasystem.web.view_models.chat import Choice, Entry, choices
from novasystem.web.view_models.words import Badge, Moment

__all__ = ["AskPage", "AskView", "asked", "entries_of"]

_TITLE_CHARS = 80
_STATUS = {
    "completed": Badge("done", "good"),
    "incomplete": Badge("cut off", "warning"),
    "failed": Badge("failed", "bad"),
    "cancelled": Badge("stopped", "warning"),
    "skipped": Badge("skipped"),
}
_ANSWERING = {"close", "single"}
_LIMITS = {
    "max_rounds": "rounds",
    "max_steps": "steps",
    "max_tokens": "tokens of one answer",
    "max_total_tokens": "tokens in all",
    "timeout_s": "time",
}


@dataclass(frozen=True, slots=True)
class ToolView:
    name: str
    arguments: str
    came: str
    failed: bool
    told: str


@dataclass(frozen=True, slots=True)
class StepView:
    """``plan``: the steps that a planner named; ``verdict``: what a critic said."""

    agent: str
    purpose: str
    title: str
    state: Badge
    told: str
    html: str
    plan: tuple[str, ...]
    verdict: str
    given: str
    tools: tuple[ToolView, ...]
    recalled: tuple[str, ...]
    problem: str
    below: list["StepView"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AskView:
    """``html``: the answer; ``problem``: why there is none, or not all of it."""

    run_id: str
    question: str
    at: Moment
    steps: tuple[StepView, ...]
    html: str
    told: str
    problem: str
    hint: str


@dataclass(frozen=True, slots=True)
class AskPage:
    entries: tuple[Entry, ...]
    more_after: str
    id: str
    title: str
    asks: tuple[AskView, ...]
    earlier: int
    active_run: str
    active_question: str
    models: tuple[Choice, ...] | None
    model: str
    most_chars: int = MAX_PROMPT_CHARS

    @classmethod
    def of(
        cls,
        sessions: Sequence[Session],
        more: bool,
        models: Mapping[str, Model] | None,
        model: str,
        here: Session | None = None,
        asks: Sequence[AskView] = (),
        earlier: int = 0,
        active: tuple[str, str] = ("", ""),
    ) -> "AskPage":
        """``active``: the ask that goes on now, and its question."""
        shown = "" if here is None else str(UUID(here.thread.id))
        return cls(
            entries=entries_of(sessions, shown),
            more_after=str(UUID(sessions[-1].thread.id)) if more else "",
            id=shown,
            title="" if here is None else _short(here.title),
            asks=tuple(asks),
            earlier=earlier,
            active_run=active[0],
            active_question=active[1],
            models=None if models is None else choices(models, model),
            model=model,
        )


def entries_of(sessions: Sequence[Session], here: str) -> tuple[Entry, ...]:
    found = []
    for session in sessions:
        thread = session.thread
        shown = str(UUID(thread.id))
        busy = thread.active_run is not None
        found.append(
            Entry(
                shown, _short(session.title), Moment.of_ms(thread.updated_at), shown == here, busy
            )
        )
    return tuple(found)


def asked(run: Run, question: str, progress: Progress) -> AskView:
    """One ask, as far as it is stored."""
    said = answer(run, progress, include_chain=False)
    problem = hint = ""
    if run.status == "cancelled":
        problem = "Stopped before it was done."
    elif run.error is not None:
        problem, hint = "The ask failed.", run.error["message"]
    elif said["limits_reached"]:
        reached = ", ".join(_LIMITS.get(one, one) for one in said["limits_reached"])
        problem, hint = "It is not the whole answer.", f"A limit was reached: {reached}."
    return AskView(
        run_id=run.id,
        question=question,
        at=Moment.of_ms(run.created_at),
        steps=tuple(_tree(progress)),
        html=render_markdown(said["text"] or ""),
        told=_metrics(run, said["metrics"]),
        problem=problem,
        hint=hint,
    )


def _metrics(run: Run, metrics: Mapping[str, Any] | None) -> str:
    parts = [str(run.request["mode"]), str(run.request["model"])]
    if metrics is not None:
        if metrics.get("prompt_tokens") is not None:
            parts.append(f"{metrics['prompt_tokens']:,} tokens read")
        if metrics.get("completion_tokens") is not None:
            parts.append(f"{metrics['completion_tokens']:,} written")
        if metrics.get("ttft_s") is not None:
            parts.append(f"first after {seconds(metrics['ttft_s'])}")
        if metrics.get("total_s") is not None:
            parts.append(f"{seconds(metrics['total_s'])} in all")
        if metrics.get("cpu_percent") is not None:
            parts.append(f"{metrics['cpu_percent']:.0f} % CPU")
        if metrics.get("memory_mb") is not None:
            parts.append(f"{metrics['memory_mb']:,.0f} MB")
    return " · ".join(parts)


def _tree(progress: Progress) -> list[StepView]:
    """The steps of a plan stand below the planner that made it."""
    top: list[StepView] = []
    planners: dict[int, StepView] = {}
    below: dict[int, list[tuple[int, StepView]]] = {}
    for entry in progress.entries.values():
        shown = _step(entry.shown())
        if entry.number is not None:
            below.setdefault(entry.round, []).append((entry.number, shown))
            continue
        if entry.agent == "planner":
            planners[entry.round] = shown
        top.append(shown)
    for round_, steps in below.items():
        ordered = [step for _, step in sorted(steps, key=lambda one: one[0])]
        planner = planners.get(round_)
        if planner is not None:
            planner.below.extend(ordered)
        else:
            top.extend(ordered)
    return top


def _step(entry: Mapping[str, Any]) -> StepView:
    data = entry.get("data") or {}
    plan = data.get("steps") if isinstance(data, Mapping) else None
    verdict = ""
    if isinstance(data, Mapping) and "ok" in data:
        verdict = f"{'Accepted' if data['ok'] else 'Sent back'}: {data.get('reason', '')}"
    told = [seconds(entry["seconds"])]
    if entry.get("tokens") is not None:
        told.append(f"{entry['tokens']:,} tokens")
    if entry.get("depends_on"):
        told.append("after step " + ", ".join(map(str, entry["depends_on"])))
    # What it says is the answer, which stands below the tree.
    answers = entry["step_id"] in _ANSWERING and entry["status"] == "completed"
    number = entry.get("number")
    title = entry.get("title") or ""
    return StepView(
        agent=entry["agent"],
        purpose=entry["purpose"],
        title=f"{number}. {title}" if number is not None else title,
        state=_STATUS.get(entry["status"], Badge(entry["status"])),
        told=" · ".join(told),
        html="" if plan or verdict or answers else render_markdown(entry.get("text") or ""),
        plan=tuple(map(_line, plan or ())),
        verdict=verdict,
        given=entry.get("input") or "",
        tools=tuple(map(_tool, entry.get("tools") or ())),
        recalled=tuple(str(one.get("text", "")) for one in entry.get("recalled") or ()),
        problem=(entry.get("error") or {}).get("message", ""),
    )


def _line(step: Any) -> str:
    if isinstance(step, Mapping):
        return str(step.get("title") or step.get("step") or step.get("text") or step)
    return str(step)


def _tool(told: Mapping[str, Any]) -> ToolView:
    error = told.get("error")
    came = error.get("message") if isinstance(error, Mapping) else error
    if error is None:
        came = told.get("output")
    took = told.get("seconds")
    return ToolView(
        name=str(told.get("name", "")),
        arguments=_text(told.get("arguments")),
        came=_text(came),
        failed=error is not None,
        told="" if took is None else seconds(took),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _short(text: str) -> str:
    said = " ".join(text[: 4 * _TITLE_CHARS].split())
    return said if len(said) <= _TITLE_CHARS else said[: _TITLE_CHARS - 1].rstrip() + "…"
