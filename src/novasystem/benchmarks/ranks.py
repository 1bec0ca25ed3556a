"""A rank test of two measured series whose runs may have shifted, and Holm's correction.

Three things make two runs of the same thing differ, and each has its answer here:

- *Requests* of one repetition are not independent. What is compared are blocks: the median of each
  repetition, or of each of some stretches of a run that has few of them (:func:`blocks`).
- *Drift* inside a run makes neighbouring blocks alike. It shows in the run itself
  (:func:`drift`).
- *Whole runs* are shifted against each other: the processor's clock, memory's layout, other work.
  No figure of one run tells by how much; what is to be expected is an assumption that is stated.

The test is Mann and Whitney's, exact, of the blocks. Its p value is averaged over the shifts
between the two runs that are to be expected (normal, with the spread of the two last points), which
turns "the blocks differ" into "they differ by more than runs of the same thing do".
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from statistics import NormalDist, median, variance
from typing import NamedTuple

from novasystem.benchmarks.statistics import stretches

__all__ = ["RankTest", "blocks", "drift", "holm", "least_p", "rank_test"]

LEAST_BLOCKS = 7
"""Repetitions from which on each is one block; fewer are cut."""
CUT_INTO = 20
LEAST_REQUESTS = 5
"""In each piece that a repetition is cut into."""
MOST_BLOCKS = 40

_NORMAL = NormalDist()


class RankTest(NamedTuple):
    """``p_less``, ``p_greater``: one-sided, that the second series is lower, or higher."""

    p_less: float
    p_greater: float

    @property
    def p(self) -> float:
        """Two-sided."""
        return min(1.0, 2 * min(self.p_less, self.p_greater))


def blocks(values: Sequence[tuple[int, float]], at_once: float = 1.0) -> list[float]:
    """The medians of blocks of (repetition, value), given in the order of measuring.

    A repetition is a block where there are at least 7 of them; more than 40 are put together with
    their neighbours. Fewer than 7 are cut into stretches, 20 in all, of at least 5 requests and of
    twice as many as were under way ``at_once``: requests that run together fare alike.
    """
    parts = [[value for _, value in some] for _, some in groupby(values, lambda pair: pair[0])]
    if len(parts) < LEAST_BLOCKS:
        least = max(LEAST_REQUESTS, math.ceil(2 * at_once))
        each = CUT_INTO // max(len(parts), 1)
        cut = (stretches(part, max(1, min(each, len(part) // least))) for part in parts)
        parts = [list(piece) for pieces in cut for piece in pieces]
    return [
        median([value for part in some for value in part]) for some in stretches(parts, MOST_BLOCKS)
    ]


def drift(series: Sequence[float]) -> float:
    """The variance between the quarters of a series beyond what its short-term noise explains.

    Each quarter's level is its median. The noise is taken from the differences of neighbours, by
    their median, so that neither drift nor an outlier enters it; a median of k values has π/2/k of
    its variance.
    """
    if len(series) < LEAST_BLOCKS:
        return 0.0
    quarters = stretches(series, min(4, len(series) // 2))
    steps = sorted(abs(after - before) for before, after in pairwise(series))
    noise = (median(steps) / 0.6745) ** 2 / 2
    each = len(series) / len(quarters)
    between = variance([median(quarter) for quarter in quarters])
    return max(0.0, between - noise * math.pi / 2 / each)


def rank_test(first: Sequence[float], second: Sequence[float], shift: float = 0.0) -> RankTest:
    """Whether ``second`` is lower or higher than ``first``, by their ranks.

    ``shift``: the standard deviation of the shift between the two that is to be expected, in the
    values' unit. With U the number of pairs in which the second is higher, P0(U >= u) exact under
    "no difference", p = E[P0(U >= U(second - s))] over s normal with that deviation. Between
    normal series this is the normal test with the variance of the shift added. Pairs that are equal
    count for neither side, so ties make it careful.
    """
    differences = sorted(b - a for a in first for b in second)
    greater = _averaged(differences, len(first), len(second), shift)
    less = _averaged([-one for one in reversed(differences)], len(first), len(second), shift)
    return RankTest(less, greater)


def _averaged(differences: Sequence[float], n: int, m: int, shift: float) -> float:
    """Between two neighbouring differences U is the same whatever the shift, so that the mean is a
    sum; ``differences`` in ascending order."""
    tails = _tails(n, m)
    if shift <= 0:
        return tails[len(differences) - bisect_right(differences, 0.0)]
    below = [0.0, *(_NORMAL.cdf(one / shift) for one in differences), 1.0]
    pairs = len(differences)
    return math.fsum(
        tails[pairs - i] * (after - before) for i, (before, after) in enumerate(pairwise(below))
    )


@lru_cache(maxsize=64)
def _tails(n: int, m: int) -> tuple[float, ...]:
    """P(U >= u) for u from 0 to n·m where both series are alike: the coefficients of the Gaussian
    binomial (n + m over n) count the arrangements with each U."""
    counts = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            counts[u] -= counts[u - m - i]
        for u in range(i, n * m + 1):
            counts[u] += counts[u - i]
    whole, left, tails = math.comb(n + m, n), 0, []
    for count in reversed(counts):
        left += count
        tails.append(left / whole)
    return tuple(reversed(tails))


def least_p(n: int, m: int) -> float:
    """The smallest two-sided p value that so many blocks can give."""
    return min(1.0, 2 / math.comb(n + m, n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the same order: the k-th smallest times the number of those not
    smaller, and never below the one before. Where those that are at most 0.01 are called
    significant, all of them are right in 99 of 100 families."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted
