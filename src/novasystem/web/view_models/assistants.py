"""What the pages of assistants show: them, a thread to try one in, and its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from novasystem.assistants.records import Assistant
from novasystem.benchmarks.reports.words import seconds
from novasystem.engines.protocol import Model
from novasystem.runs.records import Event, Run, Step
from novasystem.runs.state import ENDED, RunStatus
from novasystem.web.view_models.chat import Choice, Said, choices
from novasystem.web.view_models.words import Badge, Moment

__all__ = ["AssistantsView", "RunView"]

_SHOWN_CHARS = 400
_RUN: dict[RunStatus, Badge] = {
    "queued": Badge("waiting", "accent"),
    "in_progress": Badge("running", "accent working"),
    "requires_action": Badge("waits for tool outputs", "warning"),
    "cancelling": Badge("stopping", "warning"),
    "cancelled": Badge("cancelled", "warning"),
    "completed": Badge("completed", "good"),
    "incomplete": Badge("cut off", "warning"),
    "failed": Badge("failed", "bad"),
    "expired": Badge("expired", "bad"),
}
_STEP = {
    "in_progress": Badge("running", "accent working"),
    "completed": Badge("done", "good"),
    "failed": Badge("failed", "bad"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    name: str
    detail: str
    here: bool


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of an assistant as they stand in its form. ``own_format``: the kind of an answer's
    format that the form does not offer, and therefore leaves as it is."""

    name: str = ""
    description: str = ""
    instructions: str = ""
    temperature: str = ""
    top_p: str = ""
    tools: str = ""
    as_json: bool = False
    own_format: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    id: str
    state: Badge
    model: str
    at: Moment
    took: str
    tokens: str


@dataclass(frozen=True, slots=True)
class AssistantsView:
    """``thread``: where the shown assistant was tried, with what was said there."""

    entries: tuple[Entry, ...]
    more_after: str
    id: str
    title: str
    form: Form
    models: tuple[Choice, ...] | None
    model: str
    runs: tuple[RunRow, ...]
    thread: str
    said: tuple[Said, ...]
    active_run: str

    @classmethod
    def of(
        cls,
        found: Sequence[Assistant],
        more: bool,
        models: Mapping[str, Model] | None,
        default_model: str,
        here: Assistant | None = None,
        runs: Sequence[Run] = (),
        thread: str = "",
        said: Sequence[Said] = (),
        active_run: str = "",
    ) -> "AssistantsView":
        model = default_model if here is None else here.model
        return cls(
            entries=tuple(_entry(one, here) for one in found),
            more_after=found[-1].id if more else "",
            id="" if here is None else here.id,
            title="New assistant" if here is None else here.name or "Unnamed assistant",
            form=Form() if here is None else _form(here),
            models=None if models is None else choices(models, model),
            model=model,
            runs=tuple(map(_run, runs)),
            thread=thread,
            said=tuple(said),
            active_run=active_run,
        )


@dataclass(frozen=True, slots=True)
class CallView:
    name: str
    arguments: str
    output: str


@dataclass(frozen=True, slots=True)
class StepView:
    id: str
    kind: str
    state: Badge
    told: str
    calls: tuple[CallView, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class EventView:
    seq: int
    kind: str
    after: str
    data: str


@dataclass(frozen=True, slots=True)
class RunView:
    """``path``: of its page, where its assistant may be gone; ``left_out``: how many further events
    it has."""

    path: str
    assistant_id: str
    assistant: str
    row: RunRow
    thread: str
    goes_on: bool
    problem: str
    steps: tuple[StepView, ...]
    events: tuple[EventView, ...]
    left_out: int

    @classmethod
    def of(
        cls,
        run: Run,
        assistant: Assistant | None,
        steps: Sequence[Step],
        events: Sequence[Event],
        most: int,
    ) -> "RunView":
        name = "a deleted assistant" if assistant is None else assistant.name or "Unnamed assistant"
        problem = "" if run.error is None else str(run.error.get("message", ""))
        return cls(
            path=f"/assistants/{run.assistant_id}/runs/{run.id}",
            assistant_id="" if assistant is None else assistant.id,
            assistant=name,
            row=_run(run),
            thread="" if run.thread_id is None else f"thread_{run.thread_id}",
            goes_on=run.status not in ENDED,
            problem=problem,
            steps=tuple(map(_step, steps)),
            events=tuple(_event(one, run.created_at) for one in events[:most]),
            left_out=max(0, len(events) - most),
        )


def _entry(assistant: Assistant, here: Assistant | None) -> Entry:
    name = assistant.name or "Unnamed assistant"
    return Entry(assistant.id, name, assistant.model, here is not None and here.id == assistant.id)


def _form(one: Assistant) -> Form:
    indented = orjson.dumps(list(one.tools), option=orjson.OPT_INDENT_2).decode()
    wanted = one.response_format
    kind = str(wanted.get("type", "")) if isinstance(wanted, Mapping) else ""
    return Form(
        name=one.name or "",
        description=one.description or "",
        instructions=one.instructions or "",
        temperature="" if one.temperature is None else f"{one.temperature:g}",
        top_p="" if one.top_p is None else f"{one.top_p:g}",
        tools=indented if one.tools else "",
        as_json=kind == "json_object",
        own_format="" if kind == "json_object" else kind,
    )


def _run(run: Run) -> RunRow:
    begun = run.started_at or run.created_at
    took = "" if run.ended_at is None else seconds(max(0, run.ended_at - begun) / 1000)
    total = (run.usage or {}).get("total_tokens")
    return RunRow(
        id=run.id,
        state=_RUN[run.status],
        model=str(run.request.get("model") or ""),
        at=Moment.of_ms(run.created_at),
        took=took,
        tokens="" if total is None else f"{total:,}",
    )


def _step(step: Step) -> StepView:
    told = []
    if step.ended_at is not None:
        told.append(seconds(max(0, step.ended_at - step.created_at) / 1000))
    if step.usage and step.usage.get("completion_tokens") is not None:
        told.append(f"{step.usage['completion_tokens']:,} tokens written")
    return StepView(
        id=step.id,
        kind={"message_creation": "An answer", "tool_calls": "Calls of tools"}.get(
            step.type, step.name or step.type
        ),
        state=_STEP.get(step.status, Badge(step.status, "warning")),
        told=" · ".join(told),
        calls=tuple(map(_call, step.details.get("tool_calls") or ())),
        problem="" if step.error is None else str(step.error.get("message", "")),
    )


def _call(call: Mapping[str, Any]) -> CallView:
    output = call.get("output")
    return CallView(
        str(call.get("name", "")),
        str(call.get("arguments", "")),
        "" if output is None else str(output),
    )


def _event(event: Event, since_ms: int) -> EventView:
    data = orjson.dumps(event.data, default=str).decode()
    if len(data) > _SHOWN_CHARS:
        data = f"{data[:_SHOWN_CHARS]} …"
    return EventView(event.seq, event.type, seconds((event.at_ms - since_ms) / 1000), data)
