"""One answer of an engine, put together out of its events."""

from dataclasses import dataclass, field

from novasystem.engines.events import (
    Event,
    Finished,
    FinishReason,
    Sent,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from novasystem.engines.requests import ToolCall
from novasystem.storage.ids import new_id

__all__ = ["Heard"]


@dataclass(slots=True)
class Heard:
    """``came``: whether the engine answered at all, so that there is something to pay for."""

    text: str = ""
    reason: FinishReason = "stop"
    usage: Usage | None = None
    came: bool = False
    _calls: dict[int, list[str]] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        self.came = self.came or not isinstance(event, Sent)
        if isinstance(event, TextDelta):
            self.text += event.text
        elif isinstance(event, ToolCallDelta):
            call = self._calls.setdefault(event.index, [event.id or new_id("call"), "", ""])
            call[1] = call[1] or event.name or ""
            call[2] += event.arguments
        elif isinstance(event, Usage):
            self.usage = event
        elif isinstance(event, Finished):
            self.reason = event.reason

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(*call) for _, call in sorted(self._calls.items()))
