"""Whether a metric differs between two benchmarks, by more than runs of the same thing do."""

import math
from collections.abc import Mapping
from statistics import median
from typing import NamedTuple, TypeVar

from novasystem.benchmarks.comparison import Difference, Verdict
from novasystem.benchmarks.metrics import METRICS, Metric
from novasystem.benchmarks.ranks import (
    LEAST_BLOCKS,
    RankTest,
    blocks,
    drift,
    holm,
    least_p,
    rank_test,
)
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.windows import busy_s, windows

__all__ = ["SIGNIFICANCE", "Finding", "Side", "finding", "settled", "side"]

SIGNIFICANCE = 0.01
"""For all tests of one comparison together."""

_Key = TypeVar("_Key")


class Side(NamedTuple):
    """One benchmark's requests to one model in one phase: the answered ones in order, how many
    failed, and how many were under way at once in the mean."""

    answered: list[Sample]
    failed: int
    at_once: float

    def values(self, metric: Metric) -> list[tuple[int, float]]:
        """The metric with the repetition that it is of."""
        return [
            (sample.block, value)
            for sample in self.answered
            if (value := metric.function(sample)) is not None
        ]

    def median(self, metric: Metric) -> float | None:
        values = [value for _, value in self.values(metric)]
        return median(values) if values else None


def side(samples: list[Sample]) -> Side:
    """``samples``: the counted ones of one model and phase."""
    answered = [sample for sample in samples if sample.failure is None]
    answered.sort(key=lambda one: (one.block, one.sent_ns or one.scheduled_ns, one.number))
    whole = sum(one.ended_ns - (one.sent_ns or one.scheduled_ns) for one in answered) / 1e9
    busy = busy_s(windows(answered))
    return Side(answered, len(samples) - len(answered), whole / busy if busy else 1.0)


class Finding(NamedTuple):
    """A difference whose verdict is open; ``test`` is ``None`` where there is nothing to test."""

    metric: str
    difference: Difference
    test: RankTest | None = None


def finding(
    name: str, benchmark: str, first: Side, other: Side, run_to_run: float, invalid: str = ""
) -> Finding:
    """The difference of one metric, and the rank test of it.

    The shift between the two runs that is to be expected has the variance
    2·(run_to_run·median)² + resolution² + what each run drifted itself. ``invalid``: why no figure
    of one of the benchmarks may be believed.
    """
    metric = METRICS[name]
    befores, afters = first.values(metric), other.values(metric)
    if not befores or not afters:
        missing = "neither has" if not befores and not afters else "only one of them has"
        return Finding(name, Difference(benchmark=benchmark, reason=f"{missing} figures for it"))
    before, after = (median(value for _, value in side) for side in (befores, afters))
    ones, others = blocks(befores, first.at_once), blocks(afters, other.at_once)
    difference = Difference(
        benchmark=benchmark,
        absolute=after - before,
        relative=(after - before) / abs(before) if before else None,
        blocks=(len(ones), len(others)),
    )
    reason = invalid or metric.why_untested
    if not reason and min(difference.blocks) < LEAST_BLOCKS:
        reason = (
            f"{len(ones)} and {len(others)} blocks: at least {LEAST_BLOCKS} repetitions of each "
            "are needed"
        )
    if reason:
        return Finding(name, difference.model_copy(update={"reason": reason}))
    expected = 2 * (run_to_run * before) ** 2 + metric.resolution**2
    shift = math.sqrt(expected + drift(ones) + drift(others))
    return Finding(name, difference, rank_test(ones, others, shift))


def settled(findings: Mapping[_Key, Finding], minimum_effect: float) -> dict[_Key, Difference]:
    """The verdicts, with the p values of all that were tested corrected together."""
    tested = [key for key, one in findings.items() if one.test is not None]
    corrected = dict(
        zip(tested, holm([one.test.p for one in findings.values() if one.test]), strict=True)
    )
    return {
        key: one.difference
        if one.test is None
        else _verdict(one, one.test, corrected[key], len(tested), minimum_effect)
        for key, one in findings.items()
    }


def _verdict(
    found: Finding, test: RankTest, p_value: float, tests: int, minimum_effect: float
) -> Difference:
    metric, difference = METRICS[found.metric], found.difference
    higher = test.p_greater < test.p_less
    relative = difference.relative
    reason = ""
    if not difference.absolute:
        reason = "equal medians"
    elif relative is not None and abs(relative) < minimum_effect:
        reason = f"the difference is below the minimum effect of {minimum_effect:.0%}"
    elif least_p(*difference.blocks) * tests > SIGNIFICANCE:
        reason = f"too few blocks for {tests} tests at once: repeat more often"
    elif p_value > SIGNIFICANCE or higher != (difference.absolute > 0):
        reason = "not beyond what runs of the same thing differ by"
    verdict: Verdict = "no evidence"
    if not reason:
        if metric.better is None:
            verdict = "higher" if higher else "lower"
        else:
            verdict = "slower" if higher == (metric.better == "lower") else "faster"
    return difference.model_copy(update={"p_value": p_value, "verdict": verdict, "reason": reason})
