"""How fast an answer came, out of what is stored of it: times to the millisecond."""

from dataclasses import dataclass

from novasystem.runs.records import Run
from novasystem.threads.records import Item

__all__ = ["Figures", "figures"]

_SURE_MS = 20


@dataclass(frozen=True, slots=True)
class Figures:
    """``ttft_s``: from the turn's begin to the answer's first token; ``seconds``: to its last.

    ``tokens_per_s``: of the tokens after the first one. ``None`` where it is not known, or too
    short to be told.
    """

    ttft_s: float | None = None
    seconds: float | None = None
    tokens_per_s: float | None = None


def figures(item: Item, run: Run | None) -> Figures:
    """Of an answer; of anything else nothing is known. A clock that was set back tells nothing."""
    ended_at = item.completed_at or item.incomplete_at
    if item.role != "assistant" or run is None or run.started_at is None or ended_at is None:
        return Figures()
    first_ms, decode_ms = item.created_at - run.started_at, ended_at - item.created_at
    if first_ms < 0 or decode_ms < 0:
        return Figures()
    tokens = item.token_count if item.token_count_exact else None
    sure = decode_ms >= _SURE_MS
    per_s = (tokens - 1) * 1000 / decode_ms if tokens and tokens > 1 and sure else None
    return Figures(first_ms / 1000, (first_ms + decode_ms) / 1000, per_s)
