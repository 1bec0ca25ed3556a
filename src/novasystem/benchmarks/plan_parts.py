"""What a plan is made of: how tokens are drawn, what is asked, and when it is asked."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Burst",
    "Concurrent",
    "ConstantRate",
    "Conversation",
    "LoadShape",
    "Matrix",
    "OneAtATime",
    "Parameters",
    "Part",
    "Poisson",
    "Prompt",
    "Prompts",
    "Ramp",
    "Seconds",
    "Sweep",
    "Synthetic",
    "Trace",
    "TracedRequest",
    "Workload",
]

Tokens = Annotated[int, Field(ge=1, le=1_000_000)]
Rate = Annotated[float, Field(gt=0, le=100_000)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


class Part(BaseModel):
    # A server builds what checks them when the first benchmark is asked for, not at its start.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Parameters(Part):
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


class Prompt(Part):
    """One prompt, asked again and again."""

    kind: Literal["prompt"] = "prompt"
    prompt: str = Field(min_length=1)
    system: str | None = None


class Prompts(Part):
    """A list of prompts, each asked once a repetition, in this order."""

    kind: Literal["prompts"] = "prompts"
    prompts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    system: str | None = None


class Synthetic(Part):
    """Made-up prompts of a given length in tokens, as the engine itself counts them."""

    kind: Literal["synthetic"] = "synthetic"
    prompt_tokens: Tokens
    output_tokens: Tokens
    prompts: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How many different ones a repetition asks."""


class Matrix(Part):
    """Every combination of prompt length, output length and depth (tokens that already lie in the
    context before the prompt), each once a repetition; as llama-bench has it."""

    kind: Literal["matrix"] = "matrix"
    prompt_tokens: tuple[Tokens, ...] = Field(min_length=1)
    output_tokens: tuple[Tokens, ...] = Field(min_length=1)
    depths: tuple[Annotated[int, Field(ge=0)], ...] = (0,)


class Conversation(Part):
    """Turns of one conversation, one after the other; each is asked with all that was said."""

    kind: Literal["conversation"] = "conversation"
    turns: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    system: str | None = None


class TracedRequest(Part):
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


class Trace(Part):
    """Requests at the times at which they once arrived; its load shape is in it."""

    kind: Literal["trace"] = "trace"
    requests: tuple[TracedRequest, ...] = Field(min_length=1)
    speed: Rate = 1.0
    """2 replays it in half the time."""


Workload = Annotated[
    Prompt | Prompts | Synthetic | Matrix | Conversation | Trace, Field(discriminator="kind")
]


# Load shapes: when it is asked. Closed loops wait for answers, open loops keep a schedule.


class OneAtATime(Part):
    """Closed: the next request leaves when the answer before it has ended."""

    kind: Literal["one"] = "one"


class Concurrent(Part):
    """Closed: so many requests are under way at any time."""

    kind: Literal["concurrent"] = "concurrent"
    concurrency: Annotated[int, Field(ge=1, le=4096)]
    requests: Count


class ConstantRate(Part):
    """Open: one request each 1/rate seconds."""

    kind: Literal["constant"] = "constant"
    rate_per_s: Rate
    requests: Count


class Poisson(Part):
    """Open: arrivals that know nothing of each other, ``rate_per_s`` in the mean."""

    kind: Literal["poisson"] = "poisson"
    rate_per_s: Rate
    requests: Count
    seed: int = 0


class Burst(Part):
    """Open: ``size`` requests at once, again every ``every_s``."""

    kind: Literal["burst"] = "burst"
    size: Annotated[int, Field(ge=1, le=4096)]
    every_s: Seconds
    bursts: Annotated[int, Field(ge=1, le=100_000)]


class Ramp(Part):
    """Open: the rate grows, or falls, evenly over ``duration_s``."""

    kind: Literal["ramp"] = "ramp"
    from_per_s: Rate
    to_per_s: Rate
    duration_s: Seconds


class Sweep(Part):
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
