"""The page of benchmarks: the form, and the list of those that were made last."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from novasystem.benchmarks.plan import Mode
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.reports.words import line, rate, seconds
from novasystem.engines.protocol import Model
from novasystem.web.view_models.words import (
    MODES,
    Badge,
    Moment,
    mode_badge,
    model_detail,
    status_badge,
)

if TYPE_CHECKING:
    from novasystem.web.view_models.result import ResultView

__all__ = ["BenchmarksView", "Choice", "Entry", "choices", "entry"]

PROMPT = "Tell me a short story about a fox and a bear."
RECENT = 8
_TITLE = 90


@dataclass(frozen=True, slots=True)
class Choice:
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One benchmark in a list. ``figures``: its headline in a few words."""

    id: str
    title: str
    at: Moment
    status: Badge
    mode: Badge
    models: str
    ttft: str
    pace: str
    total: str
    figures: str


@dataclass(frozen=True, slots=True)
class BenchmarksView:
    """``models``: ``None`` while the engines have not answered yet. ``opened``: a result that is
    shown at once, and ``problem``: why it is not."""

    prompt: str
    most_chars: int
    models: tuple[Choice, ...] | None
    recent: tuple[Entry, ...]
    modes: Mapping[Mode, str]
    opened: "ResultView | None" = None
    problem: str = ""

    @classmethod
    def of(
        cls,
        models: Mapping[str, Model] | None,
        recent: Iterable[Benchmark],
        most_chars: int,
        opened: "ResultView | None" = None,
        problem: str = "",
    ) -> "BenchmarksView":
        known = None if models is None else choices(models)
        entries = tuple(map(entry, recent))
        return cls(PROMPT, most_chars, known, entries, MODES, opened, problem)


def choices(models: Mapping[str, Model]) -> tuple[Choice, ...]:
    return tuple(Choice(name, model_detail(models[name])) for name in sorted(models))


def entry(benchmark: Benchmark) -> Entry:
    results = benchmark.results
    ttft = _mean([one.timing.time_to_first_token for one in results])
    pace = _mean([one.throughput.output_tokens_per_second for one in results])
    total = _mean([one.timing.total_time for one in results])
    told = []
    if ttft is not None:
        told.append(f"TTFT {seconds(ttft)}")
    if pace is not None:
        told.append(f"{rate(pace)} tokens/s")
    return Entry(
        id=benchmark.id,
        title=title(benchmark),
        at=Moment.of(benchmark.timestamp),
        status=status_badge(benchmark.status),
        mode=mode_badge(benchmark.mode),
        models=line(", ".join(one.model for one in results), _TITLE),
        ttft=seconds(ttft),
        pace=rate(pace),
        total=seconds(total),
        figures=" · ".join(told),
    )


def title(benchmark: Benchmark) -> str:
    name = benchmark.plan.name if benchmark.plan is not None else None
    return line(name or benchmark.prompt or benchmark.id, _TITLE)


def _mean(values: list[float | None]) -> float | None:
    """Over the models that have it, as the order of a list goes by."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
