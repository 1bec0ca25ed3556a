"""Numbers about numbers: percentiles, confidence intervals, distributions, when to stop.

Requests of one repetition are not independent, so what is resampled are *units*: whole
repetitions where there are at least five, otherwise stretches of requests that followed each other.
There are at most 100 units, however many requests there were, which bounds the work.
"""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from statistics import NormalDist
from typing import TypeVar

from novasystem.benchmarks.plan import Convergence
from novasystem.benchmarks.records import Distribution

__all__ = [
    "converged",
    "dependence",
    "distribution",
    "least_samples",
    "mean_interval",
    "percentile",
    "percentile_interval",
    "relative_half_width",
    "stretches",
    "t_quantile",
    "units",
]

CONFIDENCE = 0.95
RESAMPLES = 1000
MOST_UNITS = 100
LEAST_REPETITIONS = 5
LEAST_UNITS = 3
LEAST_RESAMPLED = 5

_NORMAL = NormalDist()
_Thing = TypeVar("_Thing")


def least_samples(q: float) -> int:
    """How many samples support the percentile ``q`` (0 to 100): as many as leave one beyond it,
    1 / (1 - q/100): 10 for p90, 20 for p95, 100 for p99. The median is no tail: one is enough."""
    return 1 if q <= 50 else math.ceil(round(100 / (100 - q), 9))


def percentile(ordered: Sequence[float], q: float) -> float | None:
    """The percentile ``q`` of values in ascending order, linear between the two nearest ranks;
    ``None`` below :func:`least_samples`."""
    if len(ordered) < least_samples(q):
        return None
    place = (len(ordered) - 1) * q / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def percentile_interval(
    ordered: Sequence[float], q: float, dependence: float = 1.0
) -> tuple[float, float] | None:
    """The 95 % confidence interval of a percentile of values in ascending order.

    The bootstrap of a percentile needs no drawing: how many of n resampled values lie below the
    j-th is binomial (n, j/n), so its interval lies between two order statistics, whose ranks are
    n·q ± 1.96·sqrt(n·q·(1-q)·dependence), the last as :func:`dependence` says. ``None`` where one
    of the two ranks lies outside the sample.
    """
    n, share = len(ordered), q / 100
    spread = math.sqrt(n * share * (1 - share) * dependence)
    width = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2) * spread
    low, high = math.floor(n * share - width), math.ceil(n * share + width)
    if low < 1 or high > n:
        return None
    return ordered[low - 1], ordered[high - 1]


def dependence(parts: Sequence[Sequence[float]]) -> float:
    """By how much values of one part being alike widens the variance of their mean (the design
    effect): its variance as the parts show it / that of independent values; at least 1."""
    every = _joined(parts)
    n, k = len(every), len(parts)
    if k < LEAST_UNITS or n == k:
        return 1.0
    mean, variance = _moments(every)
    if not variance:
        return 1.0
    between = math.fsum((math.fsum(part) - mean * len(part)) ** 2 for part in parts)
    return max(1.0, between * k / (k - 1) / n / variance)


def units(values: Sequence[float], repetitions: Sequence[int] | None = None) -> list[list[float]]:
    """What is resampled as one: ``values`` in the order in which they were measured, cut into at
    most 100 stretches; ``repetitions`` says to which one each value belongs."""
    pieces = [[value] for value in values]
    if repetitions is not None:
        pairs = zip(repetitions, values, strict=True)
        whole = [[value for _, value in group] for _, group in groupby(pairs, lambda pair: pair[0])]
        if len(whole) >= LEAST_REPETITIONS:
            pieces = whole
    return [_joined(some) for some in stretches(pieces, MOST_UNITS)]


def _joined(parts: Sequence[Sequence[float]]) -> list[float]:
    return [value for part in parts for value in part]


def stretches(things: Sequence[_Thing], most: int) -> list[Sequence[_Thing]]:
    """``things`` in at most ``most`` pieces of neighbours, as equal in length as can be."""
    count = min(len(things), most)
    ends = [len(things) * i // count for i in range(count + 1)] if count else [0]
    return [things[begin:end] for begin, end in pairwise(ends)]


def mean_interval(parts: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float] | None:
    """The 95 % confidence interval of the mean over all values of all parts: a bootstrap over the
    parts, 1000 times, always drawn alike.

    The plain percentile interval is too narrow for few parts; its tails are widened as a t interval
    is wider than a normal one (Hesterberg 2015, "expanded percentile interval"). Three or four
    parts have too few outcomes for a bootstrap and get the t interval of their means itself;
    ``None`` below.
    """
    n = len(parts)
    if n < LEAST_UNITS:
        return None
    if n < LEAST_RESAMPLED:
        mean, spread = _moments([_moments(part)[0] for part in parts])
        width = t_quantile((1 + CONFIDENCE) / 2, n - 1) * math.sqrt(spread / n)
        return mean - width, mean + width
    sums = [(math.fsum(part), len(part)) for part in parts]
    draw = random.Random(seed).choices
    means = []
    for _ in range(RESAMPLES):
        drawn = draw(sums, k=n)
        means.append(sum(one for one, _ in drawn) / sum(size for _, size in drawn))
    least, most = min(map(min, parts)), max(map(max, parts))
    means = sorted(min(max(one, least), most) for one in means)  # what rounding moved out
    wider = math.sqrt(n / (n - 1)) * t_quantile((1 + CONFIDENCE) / 2, n - 1)
    tail = 100 * _NORMAL.cdf(-wider)
    place = (len(means) - 1) * tail / 100
    below = math.floor(place)
    low = means[below] + (means[below + 1] - means[below]) * (place - below)
    high = means[-1 - below] + (means[-2 - below] - means[-1 - below]) * (place - below)
    return low, high


@lru_cache(maxsize=256)
def t_quantile(p: float, degrees: int) -> float:
    """Student's t by the expansion of Cornish and Fisher; within 3 % from 2 degrees on."""
    z = _NORMAL.inv_cdf(p)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / float(degrees) ** (i + 1) for i, term in enumerate(terms))


def distribution(
    values: Sequence[float], repetitions: Sequence[int] | None = None
) -> Distribution | None:
    """One metric over requests, in the order in which they were made; ``None`` without any."""
    if not values:
        return None
    ordered = sorted(values)
    n = len(ordered)
    mean, spread = _moments(ordered)
    parts = units(values, repetitions)
    interval = mean_interval(parts)
    wider = dependence(parts)
    tails = {f"p{q}": percentile(ordered, q) for q in (50, 90, 95, 99)}
    around = {name: percentile_interval(ordered, int(name[1:]), wider) for name in tails}
    return Distribution(
        n=n,
        mean=mean,
        ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None,
        stdev=math.sqrt(spread) if n > 1 else None,
        min=ordered[0],
        max=ordered[-1],
        **tails,
        percentile_intervals={
            name: found
            for name, found in around.items()
            if found is not None and tails[name] is not None
        },
    )


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and variance (of the sample, n - 1); the standard library's own work in fractions,
    which takes seconds for 100,000 values. Rounding must not bring the mean out of the range."""
    n = len(values)
    mean = min(max(math.fsum(values) / n, min(values)), max(values))
    return mean, math.fsum((value - mean) ** 2 for value in values) / max(n - 1, 1)


def relative_half_width(parts: Sequence[Sequence[float]]) -> float | None:
    """Half the width of the mean's confidence interval, relative to the mean; ``None`` where there
    are too few parts, or the mean is zero."""
    interval = mean_interval(parts)
    every = _joined(parts)
    mean = math.fsum(every) / len(every) if every else 0.0
    return (interval[1] - interval[0]) / 2 / abs(mean) if interval and mean else None


def converged(repetitions: Sequence[Sequence[float]], until: Convergence) -> bool:
    """Whether to stop repeating: ``repetitions`` holds the metric's values, one list for each.

    True from ``min_repetitions`` on where the mean's 95 % confidence interval is within
    ± ``relative_half_width`` of the mean, and at ``max_repetitions`` in any case. Looking after
    each repetition stops a little early now and then; the interval that is reported is computed
    anew and says how wide it is.
    """
    if len(repetitions) >= until.max_repetitions:
        return True
    parts = [part for part in repetitions if part]
    if len(parts) < until.min_repetitions:
        return False
    width = relative_half_width([_joined(some) for some in stretches(parts, MOST_UNITS)])
    return width is not None and width <= until.relative_half_width
