"""The times in which models were at work, as intervals of the benchmark's clock."""

from collections.abc import Iterable

from novasystem.benchmarks.samples import Sample

__all__ = ["Window", "busy_s", "merged", "windows"]

Window = tuple[int, int]
"""Begin and end in ns since the benchmark's origin."""


def windows(samples: Iterable[Sample]) -> list[Window]:
    """When each repetition of each phase of each model was under way: from the first request's
    schedule (or the load of the model before it) until the end of the last one. What lies between
    its requests belongs to it, as an open loop waits by right; what lies between two repetitions
    does not, as another model may have had its turn there."""
    found: dict[tuple[str, str, int], Window] = {}
    for sample in samples:
        key = (sample.model, sample.phase, sample.block)
        begin = min(
            sample.scheduled_ns,
            *([] if sample.sent_ns is None else [sample.sent_ns - (sample.load_ns or 0)]),
            sample.ended_ns,
        )
        known = found.get(key, (begin, sample.ended_ns))
        found[key] = (min(known[0], begin), max(known[1], sample.ended_ns))
    return list(found.values())


def merged(some: Iterable[Window]) -> list[Window]:
    """The same time in windows that do not overlap, in order."""
    found: list[Window] = []
    for begin, end in sorted(some):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def busy_s(some: Iterable[Window]) -> float:
    """How long at least one of them lasts, in s."""
    return sum(end - begin for begin, end in merged(some)) / 1e9
