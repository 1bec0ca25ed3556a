"""Which rate a sweep tries next, where the knee is, and the highest rate that still holds.

All of it is a pure function of the steps that were made, so that a sweep that was broken off goes
on where it was, and a stored one can be judged again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from novasystem.benchmarks.metrics import meets
from novasystem.benchmarks.plan import Objectives, Sweep
from novasystem.benchmarks.samples import Sample

__all__ = ["Step", "highest_rate", "judge", "knee", "next_rate"]

GOOD_SHARE = 0.95
KEPT_UP = 0.9
NEAR = 1.1
CLIENT_LATE_S = 0.05
_MOST_STEPS = 40


@dataclass(frozen=True, slots=True)
class Step:
    """One rate, held for a while.

    ``good``: requests that met every objective. ``achieved_per_s``: the rate at which answers
    ended, between the first end and the last one, so that neither the time that an answer takes
    nor the length of the step is part of it; ``None`` below 3 answers. ``late_s``: the mean
    schedule delay, by which the client itself was late.
    """

    rate_per_s: float
    requests: int
    good: int
    achieved_per_s: float | None
    late_s: float

    @property
    def client_kept_up(self) -> bool:
        return self.late_s <= CLIENT_LATE_S

    @property
    def followed(self) -> bool:
        """Whether the server answered as fast as it was asked."""
        return self.achieved_per_s is None or self.achieved_per_s >= KEPT_UP * self.rate_per_s

    @property
    def held(self) -> bool:
        return self.good >= GOOD_SHARE * self.requests and self.followed and self.client_kept_up


def judge(rate_per_s: float, samples: Sequence[Sample], objectives: Objectives) -> Step:
    """What one step showed; failures count as requests that were not good."""
    ends = sorted(sample.ended_ns for sample in samples if sample.failure is None)
    spanned_s = (ends[-1] - ends[0]) / 1e9 if len(ends) > 2 else 0.0
    late = [s.sent_ns - s.scheduled_ns for s in samples if s.sent_ns is not None]
    return Step(
        rate_per_s=rate_per_s,
        requests=len(samples),
        good=sum(meets(sample, objectives) is not False for sample in samples),
        achieved_per_s=(len(ends) - 1) / spanned_s if spanned_s > 0 else None,
        late_s=sum(late) / len(late) / 1e9 if late else 0.0,
    )


def next_rate(sweep: Sweep, alone_per_s: float, steps: Sequence[Step]) -> float | None:
    """The rate of the next step; ``None`` at the end.

    Given rates are tried in their order until one does not hold. Without, the first is
    ``alone_per_s`` (what one request after the other reaches), each next one twice that, until one
    does not hold; then the middle between the highest that held and the lowest that did not, until
    they are within 10 %. Where not even the first holds, it is halved. Where the client was late
    the sweep ends: what lies beyond cannot be told from here.
    """
    if sweep.rates_per_s:
        if steps and not steps[-1].held:
            return None
        return sweep.rates_per_s[len(steps)] if len(steps) < len(sweep.rates_per_s) else None
    if not steps:
        return alone_per_s
    if len(steps) >= _MOST_STEPS or not steps[-1].client_kept_up:
        return None
    held = highest_rate(steps)
    missed = min((step.rate_per_s for step in steps if not step.held), default=None)
    if missed is None:
        return steps[-1].rate_per_s * 2
    if held is None:
        return missed / 2 if missed > alone_per_s / 64 else None
    return None if missed <= held * NEAR else (held + missed) / 2


def highest_rate(steps: Sequence[Step]) -> float | None:
    """The highest rate that held below all that did not; ``None`` where none did."""
    missed = min((step.rate_per_s for step in steps if not step.held), default=float("inf"))
    return max((s.rate_per_s for s in steps if s.held and s.rate_per_s < missed), default=None)


def knee(steps: Sequence[Step]) -> float | None:
    """The highest rate at which the server still answered as fast as it was asked."""
    behind = min((step.rate_per_s for step in steps if not step.followed), default=float("inf"))
    return max((s.rate_per_s for s in steps if s.followed and s.rate_per_s < behind), default=None)
