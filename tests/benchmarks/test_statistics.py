"""Percentiles, intervals, when to stop; and the rank test of blocks."""

import math
import random
import time
from itertools import combinations
from statistics import NormalDist
from typing import Any

import pytest
from pydantic import ValidationError

from novasystem.benchmarks.plan import Convergence
from novasystem.benchmarks.ranks import blocks, drift, holm, least_p, rank_test
from novasystem.benchmarks.statistics import (
    converged,
    dependence,
    distribution,
    least_samples,
    mean_interval,
    percentile,
    percentile_interval,
    t_quantile,
    units,
)


@pytest.mark.parametrize(("q", "least"), [(50, 1), (90, 10), (95, 20), (99, 100), (99.9, 1000)])
def test_a_percentile_is_refused_below_what_supports_it(q: float, least: int) -> None:
    assert least_samples(q) == least
    values = [float(value) for value in range(least)]
    assert percentile(values, q) is not None
    assert percentile(values[:-1], q) is None


def test_percentiles_lie_between_ranks() -> None:
    values = [float(value) for value in range(1, 102)]
    assert [percentile(values, q) for q in (50, 90, 95, 99)] == [51, 91, 96, 100]
    assert percentile([1.0, 2.0], 50) == 1.5
    assert percentile([], 50) is None


def test_distribution() -> None:
    found = distribution([3.0, 1.0, 2.0])
    assert found is not None
    assert (found.n, found.mean, found.min, found.p50, found.max) == (3, 2, 1, 2, 3)
    assert found.stdev == pytest.approx(1)
    assert (found.p90, found.p95, found.p99) == (None, None, None)
    assert distribution([]) is None
    alone = distribution([0.1])
    assert alone is not None
    assert (alone.mean, alone.stdev, alone.ci_low, alone.p50) == (0.1, None, None, 0.1)


def test_the_mean_lies_within_the_range() -> None:
    found = distribution([0.1] * 7)
    assert found is not None
    assert found.min == found.mean == found.max == found.ci_low == found.ci_high


@pytest.mark.parametrize("n", [3, 5, 12])
def test_intervals_hold_the_mean(n: int) -> None:
    """95 of 100 intervals should; skewed values and few of them cost a little."""
    draw = random.Random(n)
    hits = 0
    for _ in range(100):
        low, high = mean_interval([[draw.lognormvariate(0, 0.3)] for _ in range(n)]) or (0, 0)
        hits += low <= math.exp(0.045) <= high
    assert hits >= 86


def test_intervals_are_drawn_alike() -> None:
    parts = [[float(value)] for value in range(30)]
    assert mean_interval(parts) == mean_interval(parts)
    assert mean_interval(parts[:2]) is None


def test_requests_of_one_repetition_are_resampled_together() -> None:
    """Ten repetitions of twenty equal requests hold ten values, not two hundred."""
    draw = random.Random(1)
    levels = [draw.gauss(100, 10) for _ in range(10)]
    values = [level for level in levels for _ in range(20)]
    repetitions = [place for place in range(10) for _ in range(20)]
    together = distribution(values, repetitions)
    alone = distribution(levels)
    assert together is not None
    assert alone is not None
    assert together.ci_low == pytest.approx(alone.ci_low)
    assert together.ci_high == pytest.approx(alone.ci_high)
    assert dependence(units(values, repetitions)) == pytest.approx(20, rel=0.15)
    narrow = percentile_interval(sorted(values), 50)
    wide = together.percentile_intervals["p50"]
    assert narrow is not None
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_intervals_of_percentiles() -> None:
    ordered = [float(value) for value in range(1, 1001)]
    low, high = percentile_interval(ordered, 50) or (0, 0)
    assert (low, high) == (469, 531)
    assert percentile_interval(ordered[:20], 95) is None
    found = distribution(ordered[:20])
    assert found is not None
    assert "p50" in found.percentile_intervals
    assert "p95" not in found.percentile_intervals


def test_a_hundred_thousand_values_take_bounded_work() -> None:
    draw = random.Random(2)
    values = [draw.random() for _ in range(100_000)]
    began = time.process_time()
    found = distribution(values, [place // 10 for place in range(100_000)])
    assert time.process_time() - began < 3
    assert found is not None
    assert found.ci_low is not None
    assert found.ci_low < 0.5 < (found.ci_high or 0)
    assert len(units(values)) == 100


def test_t_quantiles() -> None:
    for degrees, known in ((2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042)):
        assert t_quantile(0.975, degrees) == pytest.approx(known, rel=0.035)


def test_stopping_when_the_interval_is_narrow() -> None:
    until = Convergence(relative_half_width=0.05, min_repetitions=5, max_repetitions=30)
    steady = [[1.0 + place % 2 / 100] for place in range(30)]
    wild = [[1.0 + place % 2] for place in range(30)]
    assert not converged(steady[:4], until)
    assert converged(steady[:5], until)
    assert not converged(wild[:29], until)
    assert converged(wild, until)
    assert not converged([[] for _ in range(29)], until)
    assert converged([[] for _ in range(30)], until)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metric": "ttft"}, "there are ttft_s, "),
        ({"min_repetitions": 9, "max_repetitions": 8}, "below min_repetitions"),
    ],
)
def test_a_convergence_that_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Convergence(**given)


# Ranks.


def test_the_rank_test_is_exact() -> None:
    """Against counting every arrangement of 5 and 6."""
    first, second = [1.0, 2.0, 4.0, 7.0, 3.0], [5.0, 6.0, 8.0, 9.0, 2.5, 11.0]
    pooled = first + second
    seen = sum(b > a for a in first for b in second)
    counts = []
    for chosen in combinations(range(11), 5):
        ones = [pooled[place] for place in chosen]
        others = [pooled[place] for place in range(11) if place not in chosen]
        counts.append(sum(b > a for a in ones for b in others))
    expected = sum(count >= seen for count in counts) / len(counts)
    found = rank_test(first, second)
    assert found.p_greater == pytest.approx(expected)
    assert rank_test(second, first).p_less == pytest.approx(expected)
    assert found.p == pytest.approx(2 * expected)


def test_ties_are_no_evidence() -> None:
    assert rank_test([1.0] * 20, [1.0] * 20).p == 1
    assert rank_test([1.0] * 20, [2.0] * 20).p == pytest.approx(least_p(20, 20))


def test_a_shift_that_is_to_be_expected_widens_the_test() -> None:
    """Between normal series it is the normal test, with the shift's variance added."""
    marks = [NormalDist().inv_cdf((place + 0.5) / 20) for place in range(20)]
    first = [100 + 3 * mark for mark in marks]
    second = [106 + 3 * mark for mark in marks]
    assert rank_test(first, second).p_greater < 1e-6
    found = rank_test(first, second, 2.8).p_greater
    assert found == pytest.approx(NormalDist().cdf(-6 / math.sqrt(2.8**2 + 2 * 9 / 20)), rel=0.15)
    assert rank_test(first, first, 2.8).p == 1


def test_blocks() -> None:
    repetitions = [(place, float(place)) for place in range(20) for _ in range(3)]
    assert blocks(repetitions) == [float(place) for place in range(20)]
    one_run = [(0, float(place)) for place in range(200)]
    assert blocks(one_run) == [4.5 + 10 * place for place in range(20)]
    assert len(blocks(one_run[:50])) == 10
    assert len(blocks(one_run, at_once=16)) == 6
    assert len(blocks([(place, 1.0) for place in range(5)])) == 5
    assert len(blocks([(place, 1.0) for place in range(1000)])) == 40
    assert blocks([(0, 1.0), (0, 1.0), (0, 9.0)]) == [1.0]
    assert blocks([]) == []


def test_drift_is_told_from_noise() -> None:
    draw = random.Random(3)
    noise = [draw.gauss(100, 2) for _ in range(20)]
    assert drift(noise) < 2
    ramp = [value + place for place, value in enumerate(noise)]
    assert drift(ramp) > 15
    assert drift([*noise[:10], 10_000.0, *noise[10:]]) < 2
    assert drift(noise[:6]) == 0


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_least_p() -> None:
    assert least_p(5, 5) == pytest.approx(2 / 252)
    assert rank_test([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]).p == pytest.approx(least_p(3, 3))
