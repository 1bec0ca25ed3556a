"""What is to be measured: a frozen description that can be kept in a file and carried out again.

A plan is models, workload, load shape, parameters, repetitions, limits and checks. It holds
everything that a benchmark depends on and nothing that only one machine knows: prompts that were
read from a file stand in it, so that a stored plan can be carried out without the file.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from novasystem.benchmarks.patterns import bad_value
from novasystem.benchmarks.plan_parts import (
    Burst,
    Concurrent,
    ConstantRate,
    Conversation,
    LoadShape,
    Matrix,
    OneAtATime,
    Parameters,
    Part,
    Poisson,
    Prompt,
    Prompts,
    Ramp,
    Seconds,
    Sweep,
    Synthetic,
    Trace,
    TracedRequest,
    Workload,
)

__all__ = [
    "Burst",
    "Check",
    "Concurrent",
    "ConstantRate",
    "Convergence",
    "Conversation",
    "Limits",
    "LoadShape",
    "Matrix",
    "Mode",
    "Objectives",
    "OneAtATime",
    "Parameters",
    "Phase",
    "Plan",
    "Poisson",
    "Prompt",
    "Prompts",
    "Ramp",
    "Sweep",
    "Synthetic",
    "Trace",
    "TracedRequest",
    "Workload",
]

Mode = Literal["parallel", "sequential"]
Phase = Literal["cold", "warm", "cached"]


class Objectives(Part):
    """What a request must meet to count as good: every one that is given."""

    ttft_s: Seconds | None = None
    tpot_s: Seconds | None = None
    e2e_s: Seconds | None = None


class Convergence(Part):
    """Repeat until the confidence interval of the mean of ``metric`` is narrow enough."""

    metric: str = "e2e_s"
    relative_half_width: Annotated[float, Field(gt=0, lt=1)] = 0.05
    min_repetitions: Annotated[int, Field(ge=3)] = 5
    max_repetitions: Annotated[int, Field(ge=3, le=100_000)] = 100

    @model_validator(mode="after")
    def _can_be_met(self) -> "Convergence":
        from novasystem.benchmarks.metrics import METRICS  # which needs the plan's own types

        if self.metric not in METRICS:
            msg = f"until: there is no metric '{self.metric[:80]}'; there are {', '.join(METRICS)}"
            raise ValueError(msg)
        if self.max_repetitions < self.min_repetitions:
            msg = "until: max_repetitions is below min_repetitions"
            raise ValueError(msg)
        return self


class Limits(Part):
    """Time limits: of one request, of all requests of one model, of the whole benchmark."""

    request_s: Seconds = 600.0
    first_token_s: Seconds = 300.0
    between_tokens_s: Seconds = 60.0
    model_s: Seconds = 3600.0
    benchmark_s: Seconds = 4 * 3600.0


class Check(Part):
    """What must be true of an answer's text (reasoning is no part of it).

    ``value``: the text for ``equals`` and ``contains``, the pattern for ``regex``, the schema for
    ``json_schema``, a count for ``sentences``, ``min_chars`` and ``max_chars``, the least share
    (0 to 1) for ``relevant``; none for ``not_empty`` and ``same`` (equal in all repetitions).
    """

    kind: Literal[
        "equals",
        "contains",
        "regex",
        "json_schema",
        "sentences",
        "min_chars",
        "max_chars",
        "not_empty",
        "relevant",
        "same",
    ]
    value: str | int | float | dict[str, Any] | None = None
    ignore_case: bool = False

    @model_validator(mode="after")
    def _value_fits(self) -> "Check":
        if why := bad_value(self.kind, self.value):
            msg = f"checks: '{self.kind}' {why}"
            raise ValueError(msg)
        return self


class Plan(Part):
    """One benchmark; without ``models`` it is about all that are there.

    ``mode``: the models at the same time, or one after the other. ``repetitions``: how often the
    workload is carried out, each one block of the result. ``warm_up``: requests of each model that
    are made before and not counted. ``phases``: ``cold`` takes the model out of memory before each
    request; ``warm`` varies the beginning of each prompt so that no cache of it can help;
    ``cached`` asks the same prompt before, uncounted. ``processes``: how many make the load;
    ``auto`` is one, and more where the load is too much for one.
    """

    name: str | None = Field(default=None, max_length=200)
    models: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = ()
    mode: Mode = "parallel"
    workload: Workload
    load: LoadShape = OneAtATime()
    parameters: Parameters = Parameters()
    repetitions: Annotated[int, Field(ge=1, le=100_000)] = 1
    until: Convergence | None = None
    warm_up: Annotated[int, Field(ge=0, le=1000)] = 1
    phases: tuple[Phase, ...] = Field(default=("warm",), min_length=1)
    objectives: Objectives = Objectives()
    limits: Limits = Limits()
    checks: tuple[Check, ...] = ()
    processes: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = "auto"

    @model_validator(mode="after")
    def _fits_together(self) -> "Plan":
        if len(set(self.phases)) != len(self.phases):
            msg = "phases: each at most once"
            raise ValueError(msg)
        if len(set(self.models)) != len(self.models):
            msg = "models: each at most once"
            raise ValueError(msg)
        if "cold" in self.phases and self.load.kind != "one":
            msg = "phases: 'cold' needs the load shape 'one'"
            raise ValueError(msg)
        if self.workload.kind in {"trace", "conversation"} and self.load.kind not in {"one"}:
            msg = f"load: a workload of the kind '{self.workload.kind}' keeps its own order"
            raise ValueError(msg)
        return self
