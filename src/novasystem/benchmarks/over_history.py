"""Each model's figures over many benchmarks: one value a benchmark, and what lies between them."""

from collections.abc import Iterable
from statistics import fmean, median

from pydantic import BaseModel

from novasystem.benchmarks.records import Benchmark, Result
from novasystem.benchmarks.statistics import percentile

__all__ = ["ModelHistory", "Spread", "over_history"]


class Spread(BaseModel, defer_build=True):
    """``p95`` is ``null`` below the number of benchmarks that supports it."""

    n: int
    min: float
    max: float
    mean: float
    median: float
    p95: float | None


class ModelHistory(BaseModel, defer_build=True):
    """``benchmarks`` that the model took part in, ``succeeded``: in which it gave an answer."""

    model: str
    benchmarks: int
    succeeded: int
    ttft_s: Spread | None = None
    total_s: Spread | None = None
    tokens_per_s: Spread | None = None


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return Spread(
        n=len(known),
        min=known[0],
        max=known[-1],
        mean=fmean(known),
        median=median(known),
        p95=percentile(known, 95),
    )


def over_history(benchmarks: Iterable[Benchmark]) -> list[ModelHistory]:
    """By model, in the order of their names."""
    found: dict[str, list[Result]] = {}
    for benchmark in benchmarks:
        for one in benchmark.results:
            found.setdefault(one.model, []).append(one)
    return [_of(model, found[model]) for model in sorted(found)]


def _of(model: str, results: list[Result]) -> ModelHistory:
    good = [one for one in results if one.success]
    return ModelHistory(
        model=model,
        benchmarks=len(results),
        succeeded=len(good),
        ttft_s=_spread(one.timing.time_to_first_token for one in good),
        total_s=_spread(one.timing.total_time for one in good),
        tokens_per_s=_spread(one.throughput.output_tokens_per_second for one in good),
    )
