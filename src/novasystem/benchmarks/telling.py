"""What a log's records are to whoever watches: small events, in the same words at every door.

Each is ``{type, benchmark_id, model, …}``; ``model`` is ``null`` where it is about the whole::

    started    {models, mode}                            the load begins, or goes on
    model      {status, phase, error}                    starting, generating, done or failed
    request    {number}                                  one begins whose text is shown
    token      {number, text, reasoning}                 a piece of it, at most some 20 a second
    sample     {number, phase, block, item, counted, ttft_s, e2e_s, output_tokens_per_s,
                prompt_tokens, completion_tokens, error} one request has ended
    step       {rate_per_s, requests, good}              a step of a sweep has ended
    client     {cpu_s, lag_s, in_flight}                 the load process, about once a second
    loaded     {status, error}                           all requests are made
"""

from typing import Any

from novasystem.benchmarks.metrics import e2e_s, output_tokens_per_s, ttft_s
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.sample_log import (
    ClientFigures,
    End,
    Header,
    Live,
    ModelState,
    Record,
    SweepStep,
)
from novasystem.benchmarks.samples import Failure, Sample

__all__ = ["told"]

_STATES = {"started": "starting", "phase": "generating", "done": "done", "failed": "failed"}


def told(record: Record, plan: Plan) -> tuple[str, dict[str, Any]]:
    """The event's type and what it says."""
    match record:
        case Header():
            return "started", {"model": None, "models": list(plan.models), "mode": plan.mode}
        case ModelState():
            status = {"status": _STATES[record.state], "phase": record.phase}
            return "model", {"model": record.model, **status, "error": _error(record.failure)}
        case Live():
            about = {"model": record.model, "number": record.number}
            if not record.text:
                return "request", about
            return "token", {**about, "text": record.text, "reasoning": record.reasoning}
        case Sample():
            return "sample", _sample(record)
        case SweepStep():
            step = record.step
            said = {"rate_per_s": step.rate_per_s, "requests": step.requests, "good": step.good}
            return "step", {"model": record.model, **said}
        case ClientFigures():
            figures = {"cpu_s": record.cpu_s, "lag_s": record.lag_ns / 1e9}
            return "client", {"model": None, **figures, "in_flight": record.in_flight}
        case End():
            ended = {"status": record.status, "error": _error(record.failure)}
            return "loaded", {"model": None, **ended}


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "model": sample.model,
        "number": sample.number,
        "phase": sample.phase,
        "block": sample.block,
        "item": sample.item,
        "counted": sample.counted,
        "ttft_s": ttft_s(sample),
        "e2e_s": e2e_s(sample),
        "output_tokens_per_s": output_tokens_per_s(sample),
        "prompt_tokens": sample.prompt_tokens,
        "completion_tokens": sample.completion_tokens,
        "error": _error(sample.failure),
    }


def _error(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "hint": failure.hint}
