"""What models say while they say it, thinned out to what an eye can follow."""

from collections.abc import Callable
from dataclasses import dataclass, field

from novasystem.benchmarks.collect import Follow
from novasystem.benchmarks.sample_log import Live

__all__ = ["EVERY_NS", "LiveTexts"]

EVERY_NS = 50_000_000


@dataclass(slots=True)
class _Followed:
    number: int
    shown_ns: int
    reasoning: bool = False
    since_ns: int | None = None
    pieces: list[str] = field(default_factory=list)


class LiveTexts:
    """Follows one request of each model at a time, and writes some 20 records a second of it."""

    def __init__(self, write: Callable[[Live], None]) -> None:
        self._write = write
        self._followed: dict[str, _Followed] = {}

    def begin(self, model: str, number: int, at_ns: int) -> Follow | None:
        """How to follow this request; ``None`` while another of the model is followed."""
        if model in self._followed:
            return None
        followed = self._followed[model] = _Followed(number, at_ns)
        self._write(Live(model, number, at_ns))

        def follow(came_ns: int, text: str, reasoning: bool) -> None:
            if reasoning is not followed.reasoning:
                self._show(model, followed, came_ns)
                followed.reasoning = reasoning
            if not followed.pieces:
                followed.since_ns = came_ns
            followed.pieces.append(text)
            if came_ns - followed.shown_ns >= EVERY_NS:
                self._show(model, followed, came_ns)

        return follow

    def end(self, model: str, number: int, at_ns: int) -> None:
        """The request is over, followed or not: what it said last is shown."""
        followed = self._followed.get(model)
        if followed is not None and followed.number == number:
            self._show(model, followed, at_ns)
            del self._followed[model]

    def tick(self, now_ns: int) -> None:
        """Show what has waited, for a model that pauses."""
        for model, followed in self._followed.items():
            if followed.pieces and now_ns - followed.shown_ns >= EVERY_NS:
                self._show(model, followed, now_ns)

    def _show(self, model: str, followed: _Followed, at_ns: int) -> None:
        if followed.pieces:
            text, chunks = "".join(followed.pieces), len(followed.pieces)
            number, since_ns = followed.number, followed.since_ns
            self._write(Live(model, number, at_ns, text, followed.reasoning, chunks, since_ns))
            followed.pieces.clear()
            followed.shown_ns = at_ns
