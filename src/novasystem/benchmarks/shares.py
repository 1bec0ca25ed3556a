"""One process's part of a block: which of its requests, and when they leave.

A block of many requests can be made by several processes. Each knows the whole block's schedule,
as pacing is a pure function, and makes every k-th request of it; all of them count from one moment
of the monotonic clock, which is one for all processes of a machine. Who makes a block alone has all
of it for its share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from novasystem.benchmarks.asking import Asking, Shared
from novasystem.benchmarks.loops import closed_loop, open_loop
from novasystem.benchmarks.pacing import Open, constant, pacer
from novasystem.benchmarks.plan import Phase
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.workloads import Words, size

__all__ = ["Share", "carry_out", "split"]


@dataclass(frozen=True, slots=True)
class Share:
    """``numbers``: of the block's requests, those that are to be made. ``concurrency``: so many at
    once, in a closed loop; ``None`` in an open one, whose schedule is the plan's, or for a step of
    a sweep that of ``rate_per_s``, with ``requests`` in all, the words of which go on behind the
    ``numbered_from`` of the steps before it.

    ``begin_ns``: of ``perf_counter_ns``, when request ``first`` leaves; ``None``: now.
    ``sample_number``: of the first request, each next one ``sample_step`` more; ``None``: the next
    that is free. ``shown``: whether what the model says is followed.
    """

    model: str
    phase: Phase
    block: int
    numbers: Sequence[int]
    concurrency: int | None = None
    rate_per_s: float | None = None
    requests: int = 0
    numbered_from: int = 0
    first: int = 0
    begin_ns: int | None = None
    sample_number: int | None = None
    sample_step: int = 1
    shown: bool = True

    def plain(self) -> dict[str, Any]:
        """As JSON; a range by its ends, as it may have millions."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        numbers = self.numbers
        if isinstance(numbers, range):
            fields["numbers"] = {"range": [numbers.start, numbers.stop, numbers.step]}
        return fields

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Share":
        numbers = plain["numbers"]
        if isinstance(numbers, dict):
            numbers = range(*numbers["range"])
        return cls(**{**plain, "numbers": numbers})


def split(whole: Share, processes: int, sample_number: int) -> list[Share]:
    """Every k-th request for each of so many processes, the first the one that is shown.

    In a closed loop they share the concurrency, and a process beyond that gets nothing to do.
    """
    shares = []
    for k in range(processes):
        share = replace(
            whole,
            numbers=whole.numbers[k::processes],
            sample_number=sample_number + k,
            sample_step=processes,
            shown=whole.shown and k == 0,
        )
        if whole.concurrency is not None:
            own = whole.concurrency // processes + (k < whole.concurrency % processes)
            share = replace(share, concurrency=own)
        shares.append(share)
    return shares


async def carry_out(
    shared: Shared, asking: Asking, words: Words, share: Share, *, prime: bool = False
) -> list[Sample]:
    """Make its requests; the samples, where somebody needs them. ``prime`` as in ``Asking.one``;
    raises as it does."""
    samples: list[Sample] = []
    keep = shared.keeps_samples
    numbers = shared.numbers
    if share.sample_number is not None:
        numbers = count(share.sample_number, share.sample_step)

    async def send(number: int, due_ns: int | None = None) -> None:
        sample = await asking.one(
            share.phase,
            share.block,
            words.ask(share.phase, share.block, share.numbered_from + number),
            scheduled_ns=None if due_ns is None else due_ns - shared.origin_ns,
            prime=prime,
            rate_per_s=share.rate_per_s,
            numbers=numbers,
            shown=share.shown,
        )
        if keep:
            samples.append(sample)

    if not share.numbers:
        return samples
    if share.concurrency is not None:
        await closed_loop(share.numbers, min(share.concurrency, len(share.numbers)), send)
    else:
        schedule = _schedule(shared, share)
        await open_loop(share.numbers, schedule, send, first=share.first, begin_ns=share.begin_ns)
    return samples


def _schedule(shared: Shared, share: Share) -> Open:
    if share.rate_per_s is not None:
        return constant(share.rate_per_s, share.requests)
    plan = shared.plan
    schedule = pacer(plan.load, plan.workload, size(plan.workload))
    assert isinstance(schedule, Open)
    return schedule
