"""The facts of a benchmark that lists are made from: what filters look at and orders go by.

Every store answers from these, so that all give the same page.
"""

import datetime
import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from novasystem.benchmarks.records import Benchmark, BenchmarkStatus

__all__ = ["METRICS", "Head", "Metric", "Sort", "head_of", "microseconds", "model_term",
           "prefixes", "words_of"]  # fmt: skip

Metric = Literal["ttft_s", "tokens_per_s", "total_s"]
Sort = Literal["timestamp", "ttft_s", "tokens_per_s", "total_s"]
METRICS: tuple[Metric, ...] = get_args(Metric)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# Scripts that do not put spaces between words: there each character is a word.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_LOOKED_AT = 8192
_LONGEST = 64
_SHORTEST_BEGINNING = 3


@dataclass(frozen=True, slots=True)
class Head:
    """``metrics``: the mean over the models that have it; ``at_us``: microseconds since 1970."""

    id: str
    at_us: int
    status: BenchmarkStatus
    archived: bool
    models: frozenset[str]
    words: frozenset[str]
    ttft_s: float | None
    tokens_per_s: float | None
    total_s: float | None

    def metric(self, sort: Sort) -> float | int | None:
        """The value that an order goes by."""
        if sort == "timestamp":
            return self.at_us
        value: float | None = getattr(self, sort)
        return value

    @property
    def terms(self) -> frozenset[str]:
        """Everything that a filter can ask for with yes or no, each in one short word."""
        found = {f"a:{int(self.archived)}", f"s:{self.status}"}
        found |= {model_term(model) for model in self.models}
        found |= {f"h:{name}" for name in METRICS if self.metric(name) is not None}
        return frozenset(found | {f"w:{word}" for word in self.words})


def model_term(model: str) -> str:
    """A model's name may have any characters, and more of them than an index takes."""
    return f"m:{hashlib.blake2b(model.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


def head_of(benchmark: Benchmark) -> Head:
    plan = benchmark.plan
    models = {result.model for result in benchmark.results}
    said = [benchmark.prompt or ""]
    if plan is not None:
        models |= set(plan.models)
        said.append(plan.name or "")
    results = benchmark.results
    return Head(
        id=benchmark.id,
        at_us=microseconds(benchmark.timestamp),
        status=benchmark.status,
        archived=benchmark.archived,
        models=frozenset(models),
        words=frozenset().union(*map(words_of, said)),
        ttft_s=_mean(result.timing.time_to_first_token for result in results),
        tokens_per_s=_mean(result.throughput.output_tokens_per_second for result in results),
        total_s=_mean(result.timing.total_time for result in results),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(known) / len(known) if known else None


def microseconds(at: datetime.datetime) -> int:
    """Since 1970; a time without a zone is taken as UTC."""
    if at.tzinfo is None:
        at = at.replace(tzinfo=datetime.UTC)
    return (at - _EPOCH) // datetime.timedelta(microseconds=1)


def words_of(text: str) -> frozenset[str]:
    """The words of the first 8,192 characters, without case and in one way of writing each."""
    plain = unicodedata.normalize("NFKC", text[:_LOOKED_AT]).casefold()
    return frozenset(word[:_LONGEST] for word in _WORD.findall(plain))


def prefixes(word: str) -> bool:
    """Whether the beginning of a word is enough, or all of it is asked for."""
    return len(word) >= _SHORTEST_BEGINNING
