"""What is to be measured: a frozen description that can be kept in a file and carried out again.

A plan is models, workload, load shape, parameters, repetitions, limits and checks. It holds
everything that a benchmark depends on and nothing that only one machine knows: prompts that were
read from a file stand in it, so that a stored plan can be carried out without the file.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from novasystem.benchmarks.patterns import bad_value

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
Tokens = Annotated[int, Field(ge=1, le=1_000_000)]
Rate = Annotated[float, Field(gt=0, le=100_000)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


class _Part(BaseModel):
    # A server builds what checks them when the first benchmark is asked for, not at its start.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Parameters(_Part):
    """How tokens are drawn, the same for every model; ``None`` leaves it to the engine.

    ``options``: what only one engine knows, such as Ollama's ``num_ctx``.
    """

    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    max_tokens: Tokens | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    repeat_penalty: float | None = Field(default=None, gt=0)
    think: bool | Literal["low", "medium", "high"] | None = None
    options: dict[str, Any] = Field(default_factory=dict)


# Workloads: what is asked.


class Prompt(_Part):
    """One prompt, asked again and again."""

    kind: Literal["prompt"] = "prompt"
    prompt: str = Field(min_length=1)
    system: str | None = None


class Prompts(_Part):
    """A list of prompts, each asked once a repetition, in this order."""

    kind: Literal["prompts"] = "prompts"
    prompts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    system: str | None = None


class Synthetic(_Part):
    """Made-up prompts of a given length in tokens, as the engine itself counts them."""

    kind: Literal["synthetic"] = "synthetic"
    prompt_tokens: Tokens
    output_tokens: Tokens
    prompts: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How many different ones a repetition asks."""


class Matrix(_Part):
    """Every combination of prompt length, output length and depth (tokens that already lie in the
    context before the prompt), each once a repetition; as llama-bench has it."""

    kind: Literal["matrix"] = "matrix"
    prompt_tokens: tuple[Tokens, ...] = Field(min_length=1)
    output_tokens: tuple[Tokens, ...] = Field(min_length=1)
    depths: tuple[Annotated[int, Field(ge=0)], ...] = (0,)


class Conversation(_Part):
    """Turns of one conversation, one after the other; each is asked with all that was said."""

    kind: Literal["conversation"] = "conversation"
    turns: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    system: str | None = None


class TracedRequest(_Part):
    """``at_s``: when it arrived, from the trace's begin. Its prompt, or how long that was."""

    at_s: Annotated[float, Field(ge=0)]
    prompt: str | None = None
    prompt_tokens: Tokens | None = None
    output_tokens: Tokens | None = None

    @model_validator(mode="after")
    def _has_a_prompt(self) -> "TracedRequest":
        if (self.prompt is None) == (self.prompt_tokens is None):
            msg = "give either prompt or prompt_tokens"
            raise ValueError(msg)
        return self


class Trace(_Part):
    """Requests at the times at which they once arrived; its load shape is in it."""

    kind: Literal["trace"] = "trace"
    requests: tuple[TracedRequest, ...] = Field(min_length=1)
    speed: Rate = 1.0
    """2 replays it in half the time."""


Workload = Annotated[
    Prompt | Prompts | Synthetic | Matrix | Conversation | Trace, Field(discriminator="kind")
]


# Load shapes: when it is asked. Closed loops wait for answers, open loops keep a schedule.


class OneAtATime(_Part):
    """Closed: the next request leaves when the answer before it has ended."""

    kind: Literal["one"] = "one"


class Concurrent(_Part):
    """Closed: so many requests are under way at any time."""

    kind: Literal["concurrent"] = "concurrent"
    concurrency: Annotated[int, Field(ge=1, le=4096)]
    requests: Count


class ConstantRate(_Part):
    """Open: one request each 1/rate seconds."""

    kind: Literal["constant"] = "constant"
    rate_per_s: Rate
    requests: Count


class Poisson(_Part):
    """Open: arrivals that know nothing of each other, ``rate_per_s`` in the mean."""

    kind: Literal["poisson"] = "poisson"
    rate_per_s: Rate
    requests: Count
    seed: int = 0


class Burst(_Part):
    """Open: ``size`` requests at once, again every ``every_s``."""

    kind: Literal["burst"] = "burst"
    size: Annotated[int, Field(ge=1, le=4096)]
    every_s: Seconds
    bursts: Annotated[int, Field(ge=1, le=100_000)]


class Ramp(_Part):
    """Open: the rate grows, or falls, evenly over ``duration_s``."""

    kind: Literal["ramp"] = "ramp"
    from_per_s: Rate
    to_per_s: Rate
    duration_s: Seconds


class Sweep(_Part):
    """Open: a constant rate for ``step_s``, then the next one; it ends at the first step that the
    objectives do not hold in. Without ``rates_per_s`` they double from what one request after the
    other reaches, and the last step is divided until the highest rate is known within 10 %."""

    kind: Literal["sweep"] = "sweep"
    rates_per_s: tuple[Rate, ...] = ()
    step_s: Seconds = 10.0


LoadShape = Annotated[
    OneAtATime | Concurrent | ConstantRate | Poisson | Burst | Ramp | Sweep,
    Field(discriminator="kind"),
]


class Objectives(_Part):
    """What a request must meet to count as good: every one that is given."""

    ttft_s: Seconds | None = None
    tpot_s: Seconds | None = None
    e2e_s: Seconds | None = None


class Convergence(_Part):
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


class Limits(_Part):
    """Time limits: of one request, of all requests of one model, of the whole benchmark."""

    request_s: Seconds = 600.0
    first_token_s: Seconds = 300.0
    between_tokens_s: Seconds = 60.0
    model_s: Seconds = 3600.0
    benchmark_s: Seconds = 4 * 3600.0


class Check(_Part):
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


class Plan(_Part):
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
