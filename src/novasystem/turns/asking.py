"""Asks an engine with as much of a thread as it takes; what is left out is noted on the run."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from novasystem.engines.events import Event
from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest
from novasystem.errors import ContextLengthExceeded
from novasystem.runs.context import RunContext
from novasystem.turns.fitting import Fitted, fewer
from novasystem.turns.messages import to_messages

__all__ = ["Accepted", "accepted", "ask"]

_TRIES = 6


@dataclass(frozen=True, slots=True)
class Accepted:
    """An answer that an engine has begun: whoever has it reads ``events`` or closes them.

    ``shown``: the part of the thread that it stands on.
    """

    events: AsyncGenerator[Event, None]
    shown: Fitted

    def details(self) -> dict[str, int]:
        """What the run's outcome says of it."""
        return {"left_out_items": self.shown.left_out}


async def accepted(
    registry: Registry, request: GenerateRequest, shown: Fitted, instructions: str | None = None
) -> Accepted:
    """Ask with ``shown``; returns once the engine has accepted, and nothing is said yet."""
    messages = to_messages(shown.items, instructions)
    events = registry.generate(replace(request, messages=messages))
    try:
        await anext(events)
    except BaseException:
        await events.aclose()
        raise
    return Accepted(events, shown)


async def ask(
    context: RunContext,
    registry: Registry,
    request: GenerateRequest,
    shown: Fitted,
    instructions: str | None = None,
) -> Accepted:
    """As :func:`accepted`; where the engine finds ``shown`` too long, with less and less of it.

    The oldest unit goes first, then twice as many each time, and the newest stays. What is left
    out is told by the event ``fitted {left_out_items}``. Raises ``ContextLengthExceeded`` where
    the engine takes not even that, or not after a few tries.
    """
    for tried in range(_TRIES):
        if shown.left_out:
            context.emit("fitted", {"left_out_items": shown.left_out})
        try:
            return await accepted(registry, request, shown, instructions)
        except ContextLengthExceeded:
            less = fewer(shown, 2**tried)
            if less is None or tried == _TRIES - 1:
                raise
            shown = less
    raise AssertionError
