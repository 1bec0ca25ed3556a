"""How often a comparison is wrong, and how small a slowdown it still finds: by simulation.

Pairs of equal benchmarks are made up whose runs are shifted against each other, drift while they
run, and have noise with outliers in each request; prompt evaluation and decoding each in their own
way. They go through the same :func:`novasystem.benchmarks.compare.compare` as stored ones, so that
whatever it concludes of them is false. Nothing is measured here, and the machine's speed plays no
part.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from novasystem.benchmarks.compare import compare
from novasystem.benchmarks.comparison import Comparison
from novasystem.benchmarks.metrics import e2e_s
from novasystem.benchmarks.ranks import rank_test
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Arrived, Sample
from novasystem.engines.events import ServerTimings
from tools.perf.contestants import Stage
from tools.perf.report import Check, Figure, Row

__all__ = ["Conditions", "made_up", "verdicts"]

MOST_FALSE = 1.0
FOUND = 0.9
TOKENS = 64
SLOWDOWNS = (6, 8, 10, 12, 14, 16, 18, 20, 25, 30, 40)


@dataclass(frozen=True)
class Conditions:
    """Standard deviations, relative: of a run's shift, of the drift inside it (each repetition or
    twentieth of a run keeps ``memory`` of the one before), of a request."""

    name: str
    repetitions: int = 20
    requests: int = 1
    run: float = 0.02
    drift: float = 0.02
    memory: float = 0.7
    noise: float = 0.04
    outliers: float = 0.02


EQUAL = (
    Conditions("20 repetitions"),
    Conditions("20 repetitions of 5 requests", requests=5),
    Conditions("1 repetition of 200 requests", repetitions=1, requests=200),
    Conditions("20 repetitions, drifting more", drift=0.03, memory=0.8),
    Conditions("20 repetitions, hardly any noise", drift=0.002, noise=0.002, outliers=0.0),
)
BEYOND = (
    Conditions("beyond it: runs shifted by 4 %", run=0.04),
    Conditions("beyond it: drifting by 5 %", drift=0.05, memory=0.9),
)
"""Twice what a comparison allows for unless told: shown, to know what becomes of it."""
STEADY = Conditions("20 repetitions, runs shifted by 0.5 %", run=0.005, drift=0.005, noise=0.02)


def verdicts(stage: Stage, *, quick: bool) -> Figure:
    """Enforced: at most 1 % of the pairs of equal benchmarks get any verdict, of any metric."""
    pairs = 50 if quick else 300
    table, checks = [], []
    found: list[float] = []
    for conditions in EQUAL + BEYOND:
        draw = random.Random(conditions.name)
        wrong = []
        naive = []
        for _ in range(pairs):
            first, second = made_up(conditions, draw), made_up(conditions, draw)
            wrong.append(100.0 * any(_concluded(compared(first, second))))
            one, other = ([e2e_s(sample) or 0.0 for sample in some] for some in (first, second))
            naive.append(100.0 * (rank_test(one, other).p < MOST_FALSE / 100))
        if conditions in EQUAL:
            found += wrong
        table.append(Row(f"{conditions.name}: false", [_mean(wrong)]))
        table.append(Row(f"{conditions.name}: false if every request counted", [_mean(naive)]))
    share = _mean(found)
    checks.append(Check("verdicts: false ones, of all pairs", share, MOST_FALSE, "%"))
    for conditions, run_to_run in ((EQUAL[0], 0.02), (STEADY, 0.005)):
        smallest = _smallest(conditions, run_to_run, pairs // 3)
        table.append(Row(f"{conditions.name}: smallest slowdown found", [smallest]))
    return Figure(
        "verdicts",
        "Comparisons of equal benchmarks, all metrics together, and the smallest slowdown of which "
        "9 of 10 are found",
        "%",
        table,
        checks,
    )


def compared(
    first: Sequence[Sample], second: Sequence[Sample], run_to_run: float = 0.02
) -> Comparison:
    records = [
        Benchmark(
            id=name, timestamp=datetime(2026, 1, 1, tzinfo=UTC), status="completed", mode="parallel"
        )
        for name in ("first", "second")
    ]
    sides = list(zip(records, (first, second), strict=True))
    return compare(sides, run_to_run=run_to_run)


def _concluded(comparison: Comparison) -> list[str]:
    return [
        metric.metric
        for model in comparison.models
        for metric in model.metrics
        for difference in metric.differences
        if difference.verdict != "no evidence"
    ]


def _smallest(conditions: Conditions, run_to_run: float, pairs: int) -> float:
    """The smallest slowdown in percent that is called slower, end to end, in 9 of 10 pairs."""
    for percent in SLOWDOWNS:
        draw = random.Random(f"{conditions.name} {percent}")
        hits = 0
        for _ in range(pairs):
            slowed = made_up(conditions, draw, slower=1 + percent / 100)
            said = compared(made_up(conditions, draw), slowed, run_to_run)
            hits += any(
                metric.metric == "e2e_s" and metric.differences[0].verdict == "slower"
                for metric in said.models[0].metrics
            )
        if hits >= FOUND * pairs:
            return float(percent)
    return math.inf


def made_up(conditions: Conditions, draw: random.Random, *, slower: float = 1.0) -> list[Sample]:
    """The samples of one run of one model, one request after the other."""
    run = [draw.gauss(0, conditions.run) for _ in range(2)]
    drift = [draw.gauss(0, conditions.drift) for _ in range(2)]
    kept = conditions.memory
    fresh = conditions.drift * math.sqrt(1 - kept**2)
    whole = conditions.repetitions * conditions.requests
    samples: list[Sample] = []
    at_ns = 0
    for number in range(whole):
        if number * 20 // max(whole, 20) != (number - 1) * 20 // max(whole, 20):
            drift = [kept * one + draw.gauss(0, fresh) for one in drift]
        shifts = zip(run, drift, strict=True)
        prefill_s, decode_s = (
            base * slower * math.exp(shift + own + draw.gauss(0, conditions.noise))
            for base, (shift, own) in zip((0.2, 0.02 * (TOKENS - 1)), shifts, strict=True)
        )
        if draw.random() < conditions.outliers:
            decode_s *= 1.5
        block = number // conditions.requests
        samples.append(_sample(number, block, at_ns, prefill_s, decode_s))
        at_ns = samples[-1].ended_ns + 1_000_000
    return samples


def _sample(number: int, block: int, at_ns: int, prefill_s: float, decode_s: float) -> Sample:
    first = at_ns + int((prefill_s + 0.002) * 1e9)
    last = first + int(decode_s * 1e9)
    middle = (first + last) // 2
    return Sample(
        number=number,
        model="m",
        phase="warm",
        block=block,
        item=0,
        turn=0,
        counted=True,
        scheduled_ns=at_ns,
        sent_ns=at_ns,
        reused=True,
        first_chunk_ns=first,
        first_token_ns=first,
        first_answer_ns=first,
        last_token_ns=last,
        ended_ns=last,
        arrivals=tuple(Arrived(when, 1, 100, 4) for when in (first, middle, last)),
        chunks=TOKENS,
        reads=TOKENS,
        received_bytes=6400,
        prompt_tokens=100,
        completion_tokens=TOKENS,
        cached_tokens=None,
        reasoning_tokens=None,
        timings=ServerTimings(
            prefill_tokens=100, prefill_s=prefill_s, decode_tokens=TOKENS, decode_s=decode_s
        ),
        finish_reason="length",
        text="",
        reasoning="",
        failure=None,
        lag_ns=0,
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
