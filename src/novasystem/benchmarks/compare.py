"""Two or more benchmarks side by side: what differs, and which difference there is evidence for.

The first benchmark is the one that the others are held against. A verdict other than "no evidence"
needs three things:

1. a difference of the medians of at least the minimum effect (5 % unless told);
2. evidence by a rank test of blocks (:mod:`novasystem.benchmarks.ranks`) that it is more than the
   drift inside the runs, and than two runs of the same thing are shifted against each other
   (``run_to_run``: the standard deviation of one run's shift, 2 % unless told);
3. that this evidence holds at 1 % for all metrics of all models together (Holm).

Two runs one after the other cannot show a difference that is smaller than such shifts, however many
requests they make; ``run_to_run`` may be lowered for a machine that is known to be steadier.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from novasystem.benchmarks.checks import agreement
from novasystem.benchmarks.comparison import (
    AnswerPair,
    Comparison,
    Difference,
    MetricComparison,
    ModelComparison,
)
from novasystem.benchmarks.differences import conditions
from novasystem.benchmarks.evidence import Finding, Side, finding, settled, side
from novasystem.benchmarks.metrics import METRICS
from novasystem.benchmarks.plan import Phase
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Sample
from novasystem.errors import InvalidRequest

__all__ = ["MINIMUM_EFFECT", "RUN_TO_RUN", "compare"]

MINIMUM_EFFECT = 0.05
RUN_TO_RUN = 0.02
MOST_ANSWERS = 20
PHASES: tuple[Phase, ...] = ("cold", "warm", "cached")

Names = tuple[str | None, ...]


class _Group(NamedTuple):
    """One model in one phase; a side for each benchmark."""

    model: str
    names: Names
    phase: Phase
    sides: list[Side]


_Key = tuple[int, str, int]
"""Which group, metric and benchmark."""


def compare(
    benchmarks: Sequence[tuple[Benchmark, Sequence[Sample]]],
    *,
    minimum_effect: float = MINIMUM_EFFECT,
    run_to_run: float = RUN_TO_RUN,
) -> Comparison:
    """Compare each benchmark with the first one, model by model and phase by phase.

    ``InvalidRequest`` for fewer than two, and for one twice. Benchmarks of one model each are
    compared even where the models' names differ. It computes without a pause: call it in a thread.
    """
    records = [record for record, _ in benchmarks]
    if len(records) < 2 or len({record.id for record in records}) < len(records):
        raise InvalidRequest(
            "A comparison needs two or more different benchmarks.",
            hint="Name each of them once, first the one that the others are held against.",
        )
    present = [
        list(dict.fromkeys(sample.model for sample in samples if sample.counted))
        for _, samples in benchmarks
    ]
    models = _paired(present)
    groups = list(_groups(benchmarks, models))
    findings = dict(_findings(records, groups, run_to_run))
    differences = settled(findings, minimum_effect)
    return Comparison(
        benchmarks=tuple(record.id for record in records),
        names=tuple(record.plan.name if record.plan else None for record in records),
        conditions=conditions(records, list(models.values())),
        models=tuple(
            _compared(group, index, differences, len(records)) for index, group in enumerate(groups)
        ),
        missing=_missing(records, present, models),
        invalid={one.id: one.summary.invalid_because for one in records if not one.summary.valid},
        minimum_effect=minimum_effect,
        run_to_run=run_to_run,
        tests=sum(one.test is not None for one in findings.values()),
    )


def _paired(present: Sequence[Sequence[str]]) -> dict[str, Names]:
    """For each model that the first benchmark and another one have: its name in each of them."""
    if all(len(names) == 1 for names in present):
        return {present[0][0]: tuple(names[0] for names in present)}
    return {
        name: tuple(name if name in names else None for names in present)
        for name in present[0]
        if any(name in names for names in present[1:])
    }


def _missing(
    records: Sequence[Benchmark], present: Sequence[Sequence[str]], models: dict[str, Names]
) -> dict[str, tuple[str, ...]]:
    paired = {name for names in models.values() if None not in names for name in names}
    return {
        name: tuple(
            record.id for record, names in zip(records, present, strict=True) if name in names
        )
        for name in dict.fromkeys(name for names in present for name in names)
        if name not in paired
    }


def _groups(
    benchmarks: Sequence[tuple[Benchmark, Sequence[Sample]]], models: dict[str, Names]
) -> Iterator[_Group]:
    for model, names in models.items():
        own = [
            [sample for sample in samples if sample.model == name and sample.counted]
            for (_, samples), name in zip(benchmarks, names, strict=True)
        ]
        for phase in PHASES:
            parts = [[sample for sample in some if sample.phase == phase] for some in own]
            if parts[0] and any(parts[1:]):
                yield _Group(model, names, phase, [side(part) for part in parts])


def _findings(
    records: Sequence[Benchmark], groups: Sequence[_Group], run_to_run: float
) -> Iterator[tuple[_Key, Finding]]:
    for index, group in enumerate(groups):
        for other, record in enumerate(records[1:], 1):
            bad = [one.id for one in (records[0], record) if not one.summary.valid]
            invalid = f"the client could not keep up in {' and in '.join(bad)}" if bad else ""
            for name in METRICS:
                first, second = group.sides[0], group.sides[other]
                found = finding(name, record.id, first, second, run_to_run, invalid)
                yield (index, name, other), found


def _compared(
    group: _Group, index: int, differences: dict[_Key, Difference], count: int
) -> ModelComparison:
    metrics = []
    for name, metric in METRICS.items():
        values = tuple(one.median(metric) for one in group.sides)
        if any(value is not None for value in values):
            metrics.append(
                MetricComparison(
                    metric=name,
                    title=metric.title,
                    unit=metric.unit,
                    better=metric.better,
                    values=values,
                    differences=tuple(differences[index, name, other] for other in range(1, count)),
                )
            )
    first = group.sides[0]
    return ModelComparison(
        model=group.model,
        names=group.names,
        phase=group.phase,
        requests=tuple(len(one.answered) + one.failed for one in group.sides),
        failed=tuple(one.failed for one in group.sides),
        metrics=tuple(metrics),
        answers=_answers(group.sides),
        same_answers=tuple(
            agreement(first.answered, one.answered).share for one in group.sides[1:]
        ),
    )


def _answers(sides: Sequence[Side]) -> tuple[AnswerPair, ...]:
    """The first answer to each question, of the first 20 questions."""
    found: dict[tuple[int, int], list[str | None]] = {}
    for place, one in enumerate(sides):
        for sample in one.answered:
            texts = found.setdefault((sample.item, sample.turn), [None] * len(sides))
            if texts[place] is None:
                texts[place] = sample.text
    return tuple(
        AnswerPair(item=item, turn=turn, texts=tuple(texts), same=len(set(texts)) == 1)
        for (item, turn), texts in sorted(found.items())[:MOST_ANSWERS]
    )
