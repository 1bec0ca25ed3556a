"""From samples to a model's result: timings, throughput, tokens, distributions, errors, goodput.

Pure functions of the raw samples, so that a stored benchmark's figures can be computed again.
Requests that warm up enter nothing here; failed ones are counted and enter no figure.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from novasystem.benchmarks.checks import Similarity, check_counts
from novasystem.benchmarks.metrics import METRICS, inter_chunk_latencies, measured, meets
from novasystem.benchmarks.plan import Phase, Plan
from novasystem.benchmarks.records import (
    Distribution,
    Impact,
    Problem,
    RateStep,
    Result,
    SweepResult,
    Throughput,
    Timing,
    TokenCounts,
)
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.statistics import distribution
from novasystem.benchmarks.sweep import highest_rate, judge, knee
from novasystem.benchmarks.windows import busy_s, windows

__all__ = ["POOLED_GAPS", "distributions", "main_phase", "result", "slices"]

POOLED_GAPS = "inter_chunk_pooled_s"
"""Name of the distribution of every gap of every request, beside the metrics of requests."""
MOST_GAPS = 200_000
MOST_SLICES = 64


def result(
    model: str,
    samples: Iterable[Sample],
    plan: Plan,
    *,
    timestamp: datetime,
    impact: Impact | None = None,
    error: Problem | None = None,
    similarity: Similarity | None = None,
) -> Result:
    """One model's result out of a benchmark's samples (others' are passed over).

    ``error``: why the model was not measured, or not to the end. A model is a success where a
    request of it was answered. Timings, throughput and the metrics' plain names are about the
    :func:`main_phase`; ``similarity`` as in :func:`check_counts`.
    """
    own = [sample for sample in samples if sample.model == model]
    counted = [sample for sample in own if sample.counted]
    answered = measured(own)
    failed = [sample for sample in counted if sample.failure is not None]
    phase = main_phase(plan, answered)
    main = [sample for sample in answered if sample.phase == phase]
    window_s = busy_s(windows(sample for sample in counted if sample.phase == phase))
    throughput = _throughput(main, window_s)
    return Result(
        model=model,
        success=bool(answered) and error is None,
        error=error or (None if answered else _problem(own)),
        timestamp=timestamp,
        timing=_timing(main),
        throughput=throughput,
        tokens=_tokens(answered),
        system_impact=impact or Impact(),
        checks=check_counts(plan, answered, similarity=similarity),
        response=_response(answered or failed),
        requests=len(counted),
        failed=len(failed),
        errors=dict(Counter(sample.failure.code for sample in failed if sample.failure)),
        metrics=distributions(answered, plan),
        sweep=_sweep([sample for sample in counted if sample.phase == phase], plan),
        goodput_per_s=_goodput(
            [sample for sample in counted if sample.phase == phase], plan, window_s
        ),
    )


def _sweep(samples: Sequence[Sample], plan: Plan) -> SweepResult | None:
    if plan.load.kind != "sweep":
        return None
    by_rate: dict[float, list[Sample]] = {}
    for sample in samples:
        if sample.rate_per_s is not None:
            by_rate.setdefault(sample.rate_per_s, []).append(sample)
    steps = [judge(rate_per_s, own, plan.objectives) for rate_per_s, own in by_rate.items()]
    return SweepResult(
        steps=tuple(
            RateStep(
                rate_per_s=step.rate_per_s,
                requests=step.requests,
                good=step.good,
                achieved_per_s=step.achieved_per_s,
                held=step.held,
            )
            for step in steps
        ),
        highest_rate_per_s=highest_rate(steps),
        knee_per_s=knee(steps),
    )


def main_phase(plan: Plan, samples: Sequence[Sample]) -> Phase:
    """The phase that the plain figures are about: ``warm`` where it was measured, otherwise the
    plan's first one that was. Figures of different phases are never put together."""
    seen = {sample.phase for sample in samples}
    found = [phase for phase in plan.phases if phase in seen]
    return "warm" if "warm" in found else (found or list(plan.phases))[0]


def slices(samples: Sequence[Sample], plan: Plan) -> dict[str, list[Sample]]:
    """Samples that may stand in one distribution, by the suffix of its name.

    The main phase has none; where there are several phases, ``@cold`` and so on; where prompts of
    several lengths were asked, each of these again as ``@p512-n128-d0`` (prompt, output, depth in
    tokens); and ``@4/s`` for each step of a sweep. At most 64.
    """
    phase = main_phase(plan, samples)
    found: dict[str, list[Sample]] = {}
    cells = {_cell(sample) for sample in samples}
    rates = {sample.rate_per_s for sample in samples}
    for sample in samples:
        base = "" if sample.phase == phase else f"@{sample.phase}"
        labels = [base]
        if len(cells) > 1:
            labels.append(f"{base}@{_cell(sample)}")
        if len(rates) > 1 and sample.rate_per_s is not None:
            labels.append(f"{base}@{sample.rate_per_s:g}/s")
        for label in labels:
            if label in found or len(found) < MOST_SLICES:
                found.setdefault(label, []).append(sample)
    return found


def distributions(samples: Sequence[Sample], plan: Plan) -> dict[str, Distribution]:
    """Every metric of every slice that has it, by name and suffix (see :func:`slices`)."""
    found: dict[str, Distribution] = {}
    for suffix, some in slices(samples, plan).items():
        for name, metric in METRICS.items():
            pairs = [
                (value, sample.block)
                for sample in some
                if (value := metric.function(sample)) is not None
            ]
            one = distribution([value for value, _ in pairs], [block for _, block in pairs])
            if one is not None:
                found[name + suffix] = one
        if (gaps := _pooled_gaps(some)) is not None:
            found[POOLED_GAPS + suffix] = gaps
    return found


def _pooled_gaps(samples: Sequence[Sample]) -> Distribution | None:
    """Of at most about 200,000 gaps: of every k-th request where there are more."""
    whole = sum(len(sample.arrivals) for sample in samples)
    some = samples[:: max(1, math.ceil(whole / MOST_GAPS))]
    pairs = [(gap, sample.number) for sample in some for gap in inter_chunk_latencies(sample)]
    return distribution([gap for gap, _ in pairs], [number for _, number in pairs])


def _cell(sample: Sample) -> str:
    parts = (
        ("p", sample.prompt_target_tokens),
        ("n", sample.output_target_tokens),
        ("d", sample.depth_tokens),
    )
    return "-".join(f"{letter}{tokens}" for letter, tokens in parts if tokens is not None)


def _timing(samples: Sequence[Sample]) -> Timing:
    """Medians of one and the same set of requests, in each of which first chunk <= first token <=
    last one: so are the medians. Answers without any content have neither of the last two."""
    whole = [
        (chunk, token, last)
        for sample in samples
        if (chunk := METRICS["time_to_first_chunk_s"].function(sample)) is not None
        and (token := METRICS["ttft_s"].function(sample)) is not None
        and (last := METRICS["e2e_s"].function(sample)) is not None
        and 0 < chunk <= token <= last
    ]
    if not whole:
        return Timing()
    chunks, tokens, lasts = (statistics.median(column) for column in zip(*whole, strict=True))
    return Timing(time_to_first_chunk=chunks, time_to_first_token=tokens, total_time=lasts)


def _throughput(samples: Sequence[Sample], window_s: float) -> Throughput:
    chunks = sum(sample.chunks for sample in samples)
    size = sum(sample.received_bytes for sample in samples)
    output = _sum(samples, lambda sample: sample.completion_tokens)
    said = [sample.timings for sample in samples if sample.timings is not None]
    return Throughput(
        total_chunks=chunks,
        total_bytes=size,
        average_chunk_size=size / chunks if chunks else None,
        bytes_per_second=size / window_s if samples and window_s else None,
        output_tokens_per_second=None if output is None or not window_s else output / window_s,
        prefill_tokens_per_second=_rate((one.prefill_tokens, one.prefill_s) for one in said),
        decode_tokens_per_second=_rate((one.decode_tokens, one.decode_s) for one in said),
    )


def _rate(reported: Iterable[tuple[int | None, float | None]]) -> float | None:
    """All tokens / all seconds of the requests whose server reported both."""
    both = [(count, seconds) for count, seconds in reported if count and seconds]
    seconds = math.fsum(one for _, one in both)
    return sum(count for count, _ in both) / seconds if seconds > 0 else None


def _tokens(samples: Sequence[Sample]) -> TokenCounts:
    return TokenCounts(
        prompt=_sum(samples, lambda sample: sample.prompt_tokens),
        completion=_sum(samples, lambda sample: sample.completion_tokens),
        cached=_sum(samples, lambda sample: sample.cached_tokens),
        reasoning=_sum(samples, lambda sample: sample.reasoning_tokens),
    )


def _sum(samples: Sequence[Sample], count: Callable[[Sample], int | None]) -> int | None:
    """``None`` where a single one is missing: a sum of the others would pass for the whole."""
    known = [value for sample in samples if (value := count(sample)) is not None]
    return sum(known) if known and len(known) == len(samples) else None


def _goodput(samples: Sequence[Sample], plan: Plan, window_s: float) -> float | None:
    """Requests that meet all objectives, per second; ``None`` without objectives, or where one
    cannot be judged."""
    asked = plan.objectives
    if (asked.ttft_s, asked.tpot_s, asked.e2e_s) == (None, None, None) or window_s <= 0:
        return None
    met = [meets(sample, asked) for sample in samples]
    return None if None in met else sum(map(bool, met)) / window_s


def _response(samples: Sequence[Sample]) -> str:
    return max(samples, key=lambda sample: (sample.ended_ns, sample.number)).text if samples else ""


def _problem(samples: Sequence[Sample]) -> Problem:
    """Of a model without any answer: its first failure, warm-ups included."""
    for sample in sorted(samples, key=lambda sample: sample.number):
        if (failure := sample.failure) is not None:
            return Problem(code=failure.code, message=failure.message, hint=failure.hint)
    return Problem(
        code="not_measured",
        message="No request of this model was made.",
        hint="The benchmark ended before it came to it. Resume it to carry it on.",
    )
