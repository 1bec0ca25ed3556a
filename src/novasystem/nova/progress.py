"""What a run's log says of an ask: read by an execution that goes on from it, and by watchers.

The events of an ask, in the run's log::

    begun        {session_id, run_id, mode, model}
    restarted    {}                            another execution goes on; what was open begins anew
    recalled     {items}                       what memory found
    step_begun   {step_id, agent, purpose, model, round, index, number, title, depends_on}
    token        {step_id, text}               a piece of what an agent says
    again        {step_id, reason}             what it said was not valid: it begins anew
    calls        {step_id, turn, calls, …}     it asks for these calls of tools
    tool         {step_id, call, name, arguments, output or error, seconds}
    plan         {round, steps}
    step_done    {entry}                       stored before the next agent begins
    answered     {text, status, limits_reached, metrics}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from novasystem.nova.entries import Entry
from novasystem.runs.records import Event

__all__ = ["Opened", "Progress", "shown_tool"]


@dataclass(slots=True)
class Opened:
    """A step that has begun and is not done. ``begun``: what its ``step_begun`` said."""

    begun: Mapping[str, Any]
    at_ms: int
    text: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Progress:
    """``turns``: of each step, what it asked tools for, and ``tools``: what came of each call.

    Times are unix milliseconds; ``last_at``: of the last thing that the ask itself did.
    """

    begun: Mapping[str, Any] | None = None
    begun_at: int | None = None
    first_token_at: int | None = None
    last_at: int | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    open: dict[str, Opened] = field(default_factory=dict)
    plans: list[Mapping[str, Any]] = field(default_factory=list)
    recalled: Sequence[Mapping[str, Any]] | None = None
    turns: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    tools: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    answered: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, events: Sequence[Event]) -> "Progress":
        progress = cls()
        for event in events:
            progress.apply(event)
        return progress

    @property
    def elapsed_s(self) -> float:
        """How long it was being worked on: the time in which its server was dead is no part."""
        if self.begun_at is None or self.last_at is None:
            return 0.0
        return (self.last_at - self.begun_at) / 1000

    @property
    def ttft_s(self) -> float | None:
        """From the beginning to the first token of any agent."""
        if self.begun_at is None or self.first_token_at is None:
            return None
        return (self.first_token_at - self.begun_at) / 1000

    def apply(self, event: Event) -> None:
        data = event.data
        match event.type:
            case "status":
                return
            case "begun":
                self.begun, self.begun_at = data, event.at_ms
            case "restarted":
                for opened in self.open.values():
                    opened.text.clear()
                if self.begun_at is not None and self.last_at is not None:
                    # In between nobody worked on it.
                    away = event.at_ms - self.last_at
                    self.begun_at += away
                    if self.first_token_at is not None:
                        self.first_token_at += away
            case "recalled":
                self.recalled = data["items"]
            case "step_begun":
                self.open[data["step_id"]] = Opened(data, event.at_ms)
            case "token":
                self.open[data["step_id"]].text.append(data["text"])
                if self.first_token_at is None:
                    self.first_token_at = event.at_ms
            case "again":
                self.open[data["step_id"]].text.clear()
            case "calls":
                self.turns.setdefault(data["step_id"], []).append(data)
                self.open[data["step_id"]].text.clear()
            case "tool":
                self.tools.setdefault(data["step_id"], {})[data["call"]] = data
            case "plan":
                self.plans.append(data)
            case "step_done":
                entry = Entry.of(data["entry"])
                self.open.pop(entry.step_id, None)
                self.entries[entry.step_id] = entry
            case "answered":
                self.answered = data
        self.last_at = event.at_ms

    def shown_open(self) -> list[dict[str, Any]]:
        """The open steps with what they have said so far."""
        return [
            {
                **opened.begun,
                "text": "".join(opened.text),
                "tools": [shown_tool(one) for one in self.tools.get(step_id, {}).values()],
            }
            for step_id, opened in self.open.items()
        ]


def shown_tool(told: Mapping[str, Any]) -> dict[str, Any]:
    """A ``tool`` event as the chain shows it."""
    return {name: value for name, value in told.items() if name not in {"step_id", "call"}}
