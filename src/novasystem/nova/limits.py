"""What an ask may take, and what it has taken so far."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from novasystem.nova.entries import Entry
from novasystem.turns.fitting import estimate

__all__ = ["AskLimits", "Spent"]


@dataclass(frozen=True, slots=True)
class AskLimits:
    """``max_steps``: how many times a step is carried out, over all rounds. ``max_tokens``: of one
    answer of one agent; ``max_total_tokens``: read and written, of all of them together."""

    max_rounds: int = 2
    max_steps: int = 12
    max_tokens: int | None = None
    max_total_tokens: int | None = None
    timeout_s: float = 600.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "AskLimits":
        return cls(**stored)


@dataclass(slots=True)
class Spent:
    """``reached``: the limits that were met, in order, and ``notes``: what that means for the
    answer, as sentences for its reader."""

    limits: AskLimits
    tokens: int = 0
    steps: int = 0
    reached: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Tokens that an engine did not count are estimated."""
        said = [str(one["text"]) for one in entry.attempts or ()]
        if entry.text not in said[-1:]:
            said.append(entry.text)
        prompt = entry.prompt_tokens
        completion = entry.completion_tokens
        if prompt is None:
            prompt = estimate(entry.input or "") * len(said)
        if completion is None:
            completion = sum(map(estimate, said))
        self.tokens += prompt + completion

    def tokens_left(self) -> int | None:
        """``None``: as many as it takes."""
        most = self.limits.max_total_tokens
        return None if most is None else max(0, most - self.tokens)

    def reach(self, limit: str, note: str) -> None:
        if limit not in self.reached:
            self.reached.append(limit)
        if note not in self.notes:
            self.notes.append(note)
