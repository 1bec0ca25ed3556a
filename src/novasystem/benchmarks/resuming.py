"""What a log says is done, so that a benchmark that was broken off goes on behind it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from novasystem.benchmarks.plan import Phase
from novasystem.benchmarks.sample_log import End, Header, Record, SweepStep
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.sweep import Step

__all__ = ["CANCELLED", "LOAD_FAILED", "Done", "Repetition", "broken_off", "done"]

CANCELLED = "cancelled"
"""The code of a request that was under way when the benchmark was stopped: it is made again."""

LOAD_FAILED = "load_failed"
"""That of one that was under way when a process of the load died: it is made again too."""

Repetition = tuple[str, Phase, int]
"""Model, phase, block."""


@dataclass(slots=True)
class Done:
    """``begun``: the repetitions of which there is something; ``counts``: requests by repetition,
    item and turn; ``samples``: those of each repetition, where they are wanted; ``part``: how many
    parts the log has; ``ended_ns``: its last time."""

    begun: set[Repetition] = field(default_factory=set)
    counts: Counter[tuple[Repetition, int, int]] = field(default_factory=Counter)
    samples: dict[Repetition, list[Sample]] = field(default_factory=dict)
    steps: dict[Repetition, list[Step]] = field(default_factory=dict)
    said: dict[Repetition, list[str]] = field(default_factory=dict)
    part: int = 0
    next_number: int = 0
    ended_ns: int = 0
    wall: str | None = None
    completed: bool = False

    def seed(self, benchmark_id: str) -> str:
        """What made-up prompts are drawn from. What is carried on has other ones: the same would
        be found in the cache."""
        return f"{benchmark_id}/{self.part}" if self.part else benchmark_id

    def take(self, repetition: Repetition, item: int, turn: int) -> bool:
        """Whether one such request is done; each counts once."""
        key = (repetition, item, turn)
        if not self.counts[key]:
            return False
        self.counts[key] -= 1
        return True


def done(records: Iterable[Record], *, keep: bool = False) -> Done:
    """``keep``: the samples too, since more depends on them than how many there are.

    Failed requests are done too: they failed. Only what was broken off is made again, and of a
    sweep the steps that were not ended."""
    found = Done()
    for record in records:
        match record:
            case Header():
                found.part += 1
                found.wall = found.wall or record.wall
                found.completed = False
            case Sample():
                found.next_number = max(found.next_number, record.number + 1)
                found.ended_ns = max(found.ended_ns, record.ended_ns)
                if record.counted and not broken_off(record):
                    _add(found, record, keep=keep)
            case SweepStep():
                found.steps.setdefault((record.model, record.phase, record.block), []).append(
                    record.step
                )
            case End():
                found.completed = record.status == "completed"
        if not isinstance(record, (Header, Sample)):
            found.ended_ns = max(found.ended_ns, record.at_ns)
    return found


def broken_off(sample: Sample) -> bool:
    """Whether it was given up with the load, and says nothing about its model."""
    return sample.failure is not None and sample.failure.code in {CANCELLED, LOAD_FAILED}


def _add(found: Done, sample: Sample, *, keep: bool) -> None:
    repetition = (sample.model, sample.phase, sample.block)
    found.counts[repetition, sample.item, sample.turn] += 1
    found.begun.add(repetition)
    if keep:
        found.samples.setdefault(repetition, []).append(sample)
    # Of a conversation alone is it asked again; other answers need no place in memory.
    if sample.failure is None and (sample.turn or not found.said.get(repetition)):
        said = found.said.setdefault(repetition, [])
        if sample.turn == len(said):
            said.append(sample.text)
