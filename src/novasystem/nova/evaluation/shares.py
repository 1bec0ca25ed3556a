"""How sure a share is, and the difference of two shares of the same questions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Paired", "paired", "wilson"]

_Z = 1.959964
"""Of a 95 % interval."""


def wilson(right: int, asked: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson 1927); of nothing it is everything."""
    if not asked:
        return 0.0, 1.0
    share, z2 = right / asked, _Z * _Z
    middle = (share + z2 / (2 * asked)) / (1 + z2 / asked)
    spread = math.sqrt(share * (1 - share) / asked + z2 / (4 * asked * asked))
    half = _Z * spread / (1 + z2 / asked)
    # What is certain by the count alone is not rounded away.
    low = 0.0 if right == 0 else middle - half
    return low, 1.0 if right == asked else middle + half


@dataclass(frozen=True, slots=True)
class Paired:
    """Questions that both answered: ``gained`` and ``lost`` are those that one alone had right.

    ``difference``: of the two shares, with its 95 % confidence interval (Agresti and Min 2005:
    half a question is added to each of the four cells). ``p``: of the exact test of McNemar.
    """

    asked: int
    gained: int
    lost: int
    difference: float
    low: float
    high: float
    p: float


def paired(before: Sequence[bool], after: Sequence[bool]) -> Paired:
    """What ``after`` gained over ``before``, question by question."""
    gained = sum(new and not old for old, new in zip(before, after, strict=True))
    lost = sum(old and not new for old, new in zip(before, after, strict=True))
    asked, apart = len(before), gained + lost
    b, c, n = gained + 0.5, lost + 0.5, asked + 2
    middle = (b - c) / n
    half = _Z * math.sqrt(b + c - (b - c) ** 2 / n) / n
    tail = sum(math.comb(apart, k) for k in range(min(gained, lost) + 1)) / 2**apart
    return Paired(
        asked,
        gained,
        lost,
        (gained - lost) / asked if asked else 0.0,
        max(-1.0, middle - half),
        min(1.0, middle + half),
        min(1.0, 2 * tail),
    )
