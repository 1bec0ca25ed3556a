"""Samples as a request would have given them, with what a test is about put in."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from novasystem.benchmarks.plan import Plan, Prompt
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Arrived, Failure, Sample
from novasystem.engines.events import ServerTimings

MS = 1_000_000

PLAN = Plan(models=("m",), workload=Prompt(prompt="What is the capital of France?"))


def answer(number: int = 0, **given: Any) -> Sample:
    """Sent at 1 s, a role at 2 ms, the first of 5 tokens at 50 ms, then one each 20 ms; the server
    says 40 ms of prompt evaluation. ``sent_ns`` moves all of it."""
    sent = given.pop("sent_ns", 1000 * MS)
    first = sent + given.pop("ttft_ms", 50) * MS
    last = first + given.pop("decode_ms", 80) * MS
    tokens = [first + (last - first) * step // 4 for step in range(5)]
    fields: dict[str, Any] = {
        "number": number,
        "model": "m",
        "phase": "warm",
        "block": number,
        "item": 0,
        "turn": 0,
        "counted": True,
        "scheduled_ns": sent,
        "sent_ns": sent,
        "reused": True,
        "first_chunk_ns": sent + 2 * MS,
        "first_token_ns": first,
        "first_answer_ns": first,
        "last_token_ns": last,
        "ended_ns": last + MS,
        "arrivals": tuple(Arrived(at_ns, 1, 100, 4) for at_ns in tokens),
        "chunks": 6,
        "reads": 6,
        "received_bytes": 600,
        "prompt_tokens": 8,
        "completion_tokens": 5,
        "cached_tokens": None,
        "reasoning_tokens": None,
        "timings": ServerTimings(prefill_tokens=8, prefill_s=0.04, decode_tokens=5, decode_s=0.1),
        "finish_reason": "stop",
        "text": "Paris.",
        "reasoning": "",
        "failure": None,
        "lag_ns": 0,
    }
    return Sample(**{**fields, **given})


def failed(number: int = 0, code: str = "engine_timeout", **given: Any) -> Sample:
    """One that broke off after a minute: its times must enter nothing."""
    return answer(
        number,
        **{
            "ttft_ms": 60_000,
            "completion_tokens": None,
            "prompt_tokens": None,
            "timings": None,
            "finish_reason": None,
            "failure": Failure(code, "It kept silent.", "Wait longer."),
            **given,
        },
    )


def one_by_one(ttfts_ms: Sequence[int], **given: Any) -> list[Sample]:
    """One request after the other, each a repetition of its own."""
    return [
        answer(number, sent_ns=(1 + number) * 1000 * MS, ttft_ms=ttft, **given)
        for number, ttft in enumerate(ttfts_ms)
    ]


def benchmark(id_: str, **given: Any) -> Benchmark:
    fields: dict[str, Any] = {
        "id": id_,
        "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
        "status": "completed",
        "mode": "parallel",
        "plan": PLAN,
    }
    return Benchmark(**{**fields, **given})
