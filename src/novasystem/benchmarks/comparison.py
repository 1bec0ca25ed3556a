"""What a comparison of benchmarks says, as it is shown and sent."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from novasystem.benchmarks.differences import Condition
from novasystem.benchmarks.metrics import Better
from novasystem.benchmarks.plan import Phase

__all__ = [
    "AnswerPair",
    "Comparison",
    "Difference",
    "MetricComparison",
    "ModelComparison",
    "Verdict",
]

Verdict = Literal["slower", "faster", "higher", "lower", "no evidence"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Difference(_Record):
    """Of one metric, from the first benchmark to ``benchmark``.

    ``relative``: (other - first) / first, of the medians. ``p_value``: corrected for the number of
    comparisons. ``blocks``: how many of each were compared. ``reason``: why there is no evidence.
    """

    benchmark: str
    absolute: float | None = None
    relative: float | None = None
    p_value: float | None = None
    blocks: tuple[int, int] = (0, 0)
    verdict: Verdict = "no evidence"
    reason: str = ""


class MetricComparison(_Record):
    """``values``: the medians over the requests, one a benchmark; ``differences``: one for each
    benchmark after the first."""

    metric: str
    title: str
    unit: str
    better: Better | None
    values: tuple[float | None, ...]
    differences: tuple[Difference, ...]


class AnswerPair(_Record):
    """The first answer of each benchmark to one question; ``None`` where there is none."""

    item: int
    turn: int
    texts: tuple[str | None, ...]
    same: bool


class ModelComparison(_Record):
    """``names``: what the model is called in each benchmark. ``requests``, ``failed``: counted ones
    of this phase. ``same_answers``: which share of each later benchmark's answers the first one
    had too; ``None`` where no question is the same."""

    model: str
    names: tuple[str | None, ...]
    phase: Phase
    requests: tuple[int, ...]
    failed: tuple[int, ...]
    metrics: tuple[MetricComparison, ...]
    answers: tuple[AnswerPair, ...] = ()
    same_answers: tuple[float | None, ...] = ()


class Comparison(_Record):
    """``conditions`` stand first: what was not the same. ``missing``: models that not all of them
    have, and which have them. ``tests``: how many comparisons the p values are corrected for."""

    benchmarks: tuple[str, ...]
    names: tuple[str | None, ...]
    conditions: tuple[Condition, ...]
    models: tuple[ModelComparison, ...]
    missing: dict[str, tuple[str, ...]]
    invalid: dict[str, tuple[str, ...]]
    minimum_effect: float
    run_to_run: float
    tests: int
