"""One entry of the chain of thought: what one agent did, as it is stored and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

__all__ = ["Entry", "EntryStatus"]

EntryStatus = Literal["completed", "incomplete", "failed", "cancelled", "skipped"]
_WHERE_GIVEN = ("title", "input", "data", "depends_on", "recalled", "error", "attempts", "offered",
                "cpu_percent", "memory_mb", "number")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """Tokens are ``None`` where the engine does not say. ``seconds``: from the agent's beginning
    to its end, tools included. ``first_s``: until its first token.

    ``number``: the step's in the plan. ``attempts``: what it said that was not valid, and why.
    ``offered``: names of the tools that it could call. ``cpu_percent`` and ``memory_mb``: of the
    process that did the work, meanwhile; 100 % is one core.
    """

    step_id: str
    agent: str
    purpose: str
    text: str
    model: str | None
    round: int = 1
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    first_s: float | None = None
    status: EntryStatus = "completed"
    number: int | None = None
    title: str | None = None
    input: str | None = None
    data: Mapping[str, Any] | None = None
    depends_on: Sequence[int] | None = None
    tools: Sequence[Mapping[str, Any]] = field(default=())
    recalled: Sequence[Mapping[str, Any]] | None = None
    attempts: Sequence[Mapping[str, Any]] | None = None
    offered: Sequence[str] | None = None
    cpu_percent: float | None = None
    memory_mb: float | None = None
    error: Mapping[str, str] | None = None

    @property
    def tokens(self) -> int | None:
        """Read and written together."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def of(cls, shown: Mapping[str, Any]) -> "Entry":
        """The entry that :meth:`shown` made ``shown`` of."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in shown.items() if name in known})

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        said: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        said["tokens"] = self.tokens
        said["tools"] = list(self.tools)
        for name in _WHERE_GIVEN:
            if said[name] is None:
                del said[name]
        return said
