"""A turn's options, and conversations as they are listed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from novasystem.engines.requests import Sampling
from novasystem.runs.records import Run
from novasystem.threads.records import Item

__all__ = ["Conversation", "Options", "Talk"]


@dataclass(frozen=True, slots=True)
class Options:
    """How one turn is answered. ``system``: what the model is told before the conversation.

    ``instead_of``: a message of the user's; it and all that came after it make room for this turn.
    """

    system: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    instead_of: str | None = None

    def stored(self) -> dict[str, Any]:
        """What of them a run's request keeps; :meth:`of` reads it again."""
        given = self.sampling.given()
        kept: dict[str, Any] = {"sampling": given} if given else {}
        if self.system:
            kept["system"] = self.system
        return kept

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> "Options":
        given = dict(request.get("sampling") or {})
        if "stop" in given:
            given["stop"] = tuple(given["stop"])
        return cls(request.get("system"), Sampling(**given))


@dataclass(frozen=True, slots=True)
class Conversation:
    """``id`` is the stored UUID, without hyphens. Times are unix milliseconds.

    ``title``: as it was named, or else how its first message begins. ``last``: the newest turn.
    """

    key: int
    id: str
    title: str
    named: bool
    created_at: int
    updated_at: int
    active_run: str | None
    last: Run


@dataclass(frozen=True, slots=True)
class Talk:
    """A part of a conversation, oldest first, and the runs of its answers by their id.

    ``earlier``: whether there is more before it.
    """

    conversation: Conversation
    items: tuple[Item, ...]
    runs: Mapping[str, Run]
    earlier: bool
