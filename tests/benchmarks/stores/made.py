"""Benchmarks and samples to be kept, with whatever may stand in them."""

import datetime
from typing import Any

from novasystem.benchmarks.plan import (
    Check,
    Concurrent,
    Limits,
    Objectives,
    Parameters,
    Plan,
    Prompt,
)
from novasystem.benchmarks.records import (
    Benchmark,
    CheckCount,
    Cpu,
    Distribution,
    Environment,
    Gpu,
    Impact,
    Memory,
    ModelEnvironment,
    Problem,
    Result,
    Summary,
    SystemInfo,
    Throughput,
    Timing,
    TokenCounts,
)
from novasystem.benchmarks.samples import Arrived, Failure, Sample
from novasystem.engines.events import ServerTimings

__all__ = ["BEGIN", "ODD", "made", "result", "rich", "sample"]

BEGIN = datetime.datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC)
ODD = 'a\0b "quoted" \\ \r\n\u2028\u2029 é 🦜 <script> ' + "x" * 3000


def result(
    model: str = "m",
    *,
    ttft_s: float | None = None,
    tokens_per_s: float | None = None,
    total_s: float | None = None,
) -> Result:
    return Result(
        model=model,
        success=True,
        timestamp=BEGIN,
        timing=Timing(time_to_first_token=ttft_s, total_time=total_s),
        throughput=Throughput(output_tokens_per_second=tokens_per_s),
    )


def made(benchmark_id: str = "bench_1", **given: Any) -> Benchmark:
    said: dict[str, Any] = {"timestamp": BEGIN, "status": "completed", "mode": "parallel"}
    return Benchmark(id=benchmark_id, **(said | given))


def rich(benchmark_id: str = "bench_rich") -> Benchmark:
    """With everything that there is, and values that are easily changed on the way."""
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=45))
    at = datetime.datetime(2026, 1, 31, 23, 59, 59, 123_457, tzinfo=zone)
    plan = Plan(
        name=ODD[:100],
        models=("m", "org/model:7b-q4_K_M"),
        workload=Prompt(prompt=ODD, system=""),
        load=Concurrent(concurrency=3, requests=7),
        parameters=Parameters(temperature=0.1 + 0.2, seed=2**63 - 1, options={"n": [1, 1.0, None]}),
        objectives=Objectives(ttft_s=5e-324),
        limits=Limits(request_s=1e-3),
        checks=(Check(kind="json_schema", value={"type": ["object", "null"]}),),
    )
    many = Distribution(n=3, mean=1 / 3, ci_low=1e-300, ci_high=1e300, min=0.1, p50=0.1, max=0.7)
    cpu = Cpu(name="", total_cores=2, current_frequency=2400.000001)
    system = SystemInfo(
        platform="Linux",
        processor=ODD,
        python_version="3.11.2",
        novasystem_version="0.1.0",
        cpu=cpu,
        memory=Memory(total=7.7, available=1.1, used=6.6, percent_used=85.7),
        gpu=(Gpu(name="g", memory_total=139.8),),
    )
    whole = Result(
        model="org/model:7b-q4_K_M",
        success=False,
        error=Problem(code="engine_timeout", message=ODD, hint=""),
        timestamp=at,
        timing=Timing(time_to_first_chunk=1e-9, time_to_first_token=0.1 + 0.2, total_time=3.0),
        throughput=Throughput(total_chunks=2**53 + 1, output_tokens_per_second=1 / 3),
        tokens=TokenCounts(prompt=0, completion=2**62),
        system_impact=Impact(cpu_delta=(-0.0, 1.5), absent={"gpu_percent": ODD}),
        checks=(CheckCount(check="equals", passed=1, failed=2, failures=(ODD, "")),),
        response=ODD * 30,
        requests=3,
        failed=1,
        errors={"engine_timeout": 1},
        metrics={"ttft_s": many},
        goodput_per_s=0.0,
    )
    return Benchmark(
        id=benchmark_id,
        run_id="run_1",
        timestamp=at,
        ended_at=at + datetime.timedelta(microseconds=1),
        status="partial",
        mode="sequential",
        prompt=ODD + "y" * 400_000,
        parameters={"temperature": 0.7, "top_k": 40, "deep": {"a": [1, 2.0, None, ODD]}, "z": 2.0},
        plan=plan,
        system_info=system,
        environment=Environment(
            models=(
                ModelEnvironment(model="m", engine="e", engine_kind="ollama", address="http://x"),
            )
        ),
        summary=Summary(wall_s=0.1, valid=False, invalid_because=(ODD,), efficiency_ratio=0.99),
        results=(whole, result("m")),
        error=Problem(code="x", message="y"),
    )


def sample(number: int, **given: Any) -> Sample:
    """A request that went well, its times all different."""
    at = number * 10**9
    said: dict[str, Any] = {
        "number": number,
        "model": "m",
        "phase": "warm",
        "block": number // 10,
        "item": 0,
        "turn": 0,
        "counted": True,
        "scheduled_ns": at,
        "sent_ns": at + 1,
        "reused": True,
        "first_chunk_ns": at + 2,
        "first_token_ns": at + 3,
        "first_answer_ns": at + 3,
        "last_token_ns": at + 900,
        "ended_ns": at + 901,
        "arrivals": tuple(Arrived(at + 3 + 20 * i, 1 + i % 2, 150 + i, 4) for i in range(30)),
        "chunks": 46,
        "reads": 31,
        "received_bytes": 5000,
        "prompt_tokens": 12,
        "completion_tokens": 40,
        "cached_tokens": None,
        "reasoning_tokens": 0,
        "timings": ServerTimings(load_s=0.1 + 0.2, prefill_tokens=3, decode_s=1e-9),
        "finish_reason": "stop",
        "text": f"{ODD[:60]} {number}",
        "reasoning": "",
        "failure": None,
        "lag_ns": 17,
    }
    return Sample(**(said | given))


def failed(number: int) -> Sample:
    """A request of which nothing came."""
    nothing = ("sent_ns", "reused", "first_chunk_ns", "first_token_ns", "first_answer_ns",
               "last_token_ns", "prompt_tokens", "completion_tokens", "timings",
               "finish_reason")  # fmt: skip
    return sample(
        number,
        **dict.fromkeys(nothing),
        arrivals=(),
        text="",
        failure=Failure("engine_timeout", ODD, "wait"),
        prompt_target_tokens=128,
    )
