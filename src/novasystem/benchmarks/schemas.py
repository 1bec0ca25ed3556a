"""What ``POST /api/benchmarks/run`` takes."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from novasystem.benchmarks.plan import (
    Check,
    Convergence,
    Limits,
    LoadShape,
    Mode,
    Objectives,
    OneAtATime,
    Parameters,
    Phase,
    Plan,
    Prompt,
)
from novasystem.errors import MessageTooLong

__all__ = ["BenchmarkRequest", "bounded"]

Name = Annotated[str, Field(min_length=1, max_length=512)]


class BenchmarkRequest(BaseModel):
    """A prompt for every model, or a whole plan. Without ``models`` all that are there are asked;
    what else is left out is as in a plan."""

    model_config = ConfigDict(
        extra="forbid",
        defer_build=True,
        json_schema_extra={
            "examples": [
                {"prompt": "What is 2+2?", "models": ["nova-tiny"]},
                {
                    "prompt": "Name the capital of France.",
                    "parameters": {"temperature": 0, "max_tokens": 64},
                    "mode": "sequential",
                    "repetitions": 10,
                    "checks": [{"kind": "contains", "value": "Paris"}],
                },
                {
                    "plan": {
                        "models": ["nova-tiny"],
                        "workload": {"kind": "synthetic", "prompt_tokens": 64, "output_tokens": 32},
                        "load": {"kind": "concurrent", "concurrency": 4, "requests": 40},
                    }
                },
            ]
        },
    )

    prompt: str | None = None
    system: str | None = None
    plan: Plan | None = None
    name: str | None = Field(default=None, max_length=200)
    models: tuple[Name, ...] | None = None
    mode: Mode = "parallel"
    parameters: Parameters = Parameters()
    repetitions: Annotated[int, Field(ge=1, le=100_000)] = 1
    warm_up: Annotated[int, Field(ge=0, le=1000)] = 1
    phases: tuple[Phase, ...] = ("warm",)
    load: LoadShape = OneAtATime()
    until: Convergence | None = None
    objectives: Objectives = Objectives()
    limits: Limits = Limits()
    checks: tuple[Check, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> "BenchmarkRequest":
        if (self.prompt is None) == (self.plan is None):
            msg = "give either prompt or plan"
            raise ValueError(msg)
        beside = self.model_fields_set - {"plan"}
        if self.plan is not None and beside:
            msg = f"{', '.join(sorted(beside))}: with a plan, this stands in the plan"
            raise ValueError(msg)
        if self.prompt is not None:
            if not self.prompt.strip():
                msg = "prompt: it is not empty or only white space"
                raise ValueError(msg)
            # That what is given fits together is known here, where it is a 422.
            self.as_plan()
        return self

    def as_plan(self) -> Plan:
        if self.plan is not None:
            return self.plan
        assert self.prompt is not None
        given = self.model_dump(exclude={"prompt", "system", "plan", "models"})
        return Plan.model_validate(
            {
                **given,
                "models": self.models or (),
                "workload": Prompt(prompt=self.prompt, system=self.system),
            }
        )


def bounded(plan: Plan, most: int) -> Plan:
    """Raises ``MessageTooLong`` where a prompt is."""
    workload = plan.workload
    texts: list[str] = []
    if workload.kind == "prompt":
        texts = [workload.prompt]
    elif workload.kind == "prompts":
        texts = list(workload.prompts)
    elif workload.kind == "conversation":
        texts = list(workload.turns)
    elif workload.kind == "trace":
        texts = [one.prompt for one in workload.requests if one.prompt is not None]
    longest = max(map(len, texts), default=0)
    if longest > most:
        raise MessageTooLong(
            f"A prompt has at most {most:,} characters; one of these has {longest:,}.",
            hint="Shorten it, or raise NOVA_MAX_PROMPT_CHARS.",
            param="prompt",
        )
    return plan
