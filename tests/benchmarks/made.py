"""Benchmarks made up for tests: with the shape and size of figures that real ones have.

Nothing is drawn at random: the same call gives the same figures.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import fmean, stdev
from typing import Any

from novasystem.benchmarks.plan import Check, Plan, Prompt
from novasystem.benchmarks.records import (
    Benchmark,
    CheckCount,
    Cpu,
    Distribution,
    Environment,
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
from novasystem.benchmarks.telemetry import Reading, Readings, ServerReading
from novasystem.engines.events import ServerTimings

__all__ = [
    "HOSTILE",
    "TIMESTAMP",
    "benchmark",
    "distribution",
    "failed_result",
    "failed_sample",
    "readings",
    "result",
    "sample",
    "samples",
]

TIMESTAMP = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
_MS = 1_000_000

HOSTILE = (
    "=1+1\n"
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'--></style></textarea>"
    "]]>\x1b]0;owned\x07\x1b[2J\x9b31m\x00\x08\r"
    "\u202eright to left\u2066 | pipe ` ``` tick ![x](http://example.invalid/a.png) "
    "[click](javascript:alert(3)) *bold* {{ 7*7 }} \u2028 end\n"
    "```\n````\n<b>out of its fence</b> alert(4)\n"
)
"""What a model may answer to hurt whoever looks at it."""


def sample(number: int = 0, *, model: str = "nova-tiny", **more: Any) -> Sample:
    """A request that left at ``number`` x 500 ms; 16 tokens, each 10 ms, after some 50 ms."""
    sent = number * 500 * _MS
    wobble = (number * 37 % 11) * _MS // 4
    first = sent + 50 * _MS + wobble
    arrivals = tuple(Arrived(first + token * 10 * _MS, 1, 180, 4) for token in range(16))
    made = Sample(
        number=number,
        model=model,
        phase="warm",
        block=number,
        item=0,
        turn=0,
        counted=True,
        scheduled_ns=sent - 100_000,
        sent_ns=sent,
        reused=number > 0,
        first_chunk_ns=first - 1 * _MS,
        first_token_ns=first,
        first_answer_ns=first,
        last_token_ns=arrivals[-1].at_ns,
        ended_ns=arrivals[-1].at_ns + 1 * _MS,
        arrivals=arrivals,
        chunks=18,
        reads=17,
        received_bytes=3100,
        prompt_tokens=24,
        completion_tokens=16,
        cached_tokens=0,
        reasoning_tokens=None,
        timings=ServerTimings(
            load_s=0.002,
            prefill_tokens=24,
            prefill_s=0.03,
            decode_tokens=16,
            decode_s=0.148,
            total_s=0.18,
        ),
        finish_reason="stop",
        text="2 + 2 is 4.",
        reasoning="",
        failure=None,
        lag_ns=120_000,
    )
    return replace(made, **more)


def failed_sample(number: int = 0, *, model: str = "nova-tiny", **more: Any) -> Sample:
    """One whose engine could not be reached: nothing but its end is known."""
    return sample(
        number,
        model=model,
        reused=None,
        sent_ns=None,
        first_chunk_ns=None,
        first_token_ns=None,
        first_answer_ns=None,
        last_token_ns=None,
        arrivals=(),
        chunks=0,
        reads=0,
        received_bytes=0,
        prompt_tokens=None,
        completion_tokens=None,
        cached_tokens=None,
        timings=None,
        finish_reason=None,
        text="",
        failure=Failure(
            "engine_unavailable", "Engine 'ollama' cannot be reached.", "Start it: ollama serve."
        ),
        **more,
    )


def samples(count: int = 20, *, model: str = "nova-tiny", first: int = 0) -> tuple[Sample, ...]:
    return tuple(sample(first + number, model=model) for number in range(count))


def distribution(values: Sequence[float]) -> Distribution:
    """As those of a benchmark: no percentile that so few values cannot support."""
    ordered = sorted(values)
    count = len(ordered)

    def at(share: float, least: int) -> float | None:
        return ordered[min(count - 1, int(share * count))] if count >= least else None

    mean = fmean(ordered)
    return Distribution(
        n=count,
        mean=mean,
        ci_low=mean * 0.98 if count > 2 else None,
        ci_high=mean * 1.02 if count > 2 else None,
        stdev=stdev(ordered) if count > 1 else None,
        min=ordered[0],
        p50=at(0.5, 1),
        p90=at(0.9, 10),
        p95=at(0.95, 20),
        p99=at(0.99, 100),
        max=ordered[-1],
    )


def result(made: Sequence[Sample], **more: Any) -> Result:
    """The result of one model's samples, some of which may have failed."""
    good = [each for each in made if each.failure is None]
    ttft = [
        (s.first_token_ns - s.sent_ns) / 1e9
        for s in good
        if s.first_token_ns and s.sent_ns is not None
    ]
    e2e = [
        (s.last_token_ns - s.sent_ns) / 1e9
        for s in good
        if s.last_token_ns and s.sent_ns is not None
    ]
    tpot = [(last - first) / 15 for first, last in zip(ttft, e2e, strict=True)]
    figures: dict[str, Any] = {
        "model": made[0].model,
        "success": bool(good),
        "timestamp": TIMESTAMP + timedelta(seconds=1),
        "timing": Timing(
            time_to_first_chunk=distribution(ttft).mean - 0.001,
            time_to_first_token=distribution(ttft).p50,
            total_time=distribution(e2e).p50,
        ),
        "throughput": Throughput(
            total_chunks=sum(s.chunks for s in good),
            total_bytes=sum(s.received_bytes for s in good),
            average_chunk_size=172.2,
            bytes_per_second=15_500.0,
            output_tokens_per_second=80.0,
            prefill_tokens_per_second=800.0,
            decode_tokens_per_second=108.1,
        ),
        "tokens": TokenCounts(
            prompt=24 * len(good), completion=16 * len(good), cached=0, reasoning=None
        ),
        "system_impact": Impact(
            cpu_before=(3.0, 5.0),
            cpu_during=(61.5, 12.0),
            cpu_delta=(58.5, 7.0),
            cpu_frequency_mhz=2445.4,
            memory_delta=-0.01,
            server_memory=0.031,
            server_cpu_s=2.9,
            sampler_cpu_s=0.02,
            absent={
                "gpu_percent": "NVIDIA's driver does not answer: NVML Shared Library Not Found",
                "energy_j": "this machine has no RAPL: there is no /sys/class/powercap",
                "energy_per_token_j": "this machine has no RAPL: there is no /sys/class/powercap",
            },
        ),
        "checks": (
            CheckCount(
                check="contains '4'", passed=len(good) - 1, failed=1, failures=("3: 'five'",)
            ),
        ),
        "response": good[-1].text,
        "requests": len(made),
        "failed": len(made) - len(good),
        "errors": {"engine_unavailable": len(made) - len(good)} if len(good) < len(made) else {},
        "metrics": {
            "ttft_s": distribution(ttft),
            "e2e_s": distribution(e2e),
            "tpot_s": distribution(tpot),
            "output_tokens_per_s": distribution([1 / each for each in tpot]),
        },
    }
    return Result(**{**figures, **more})


def failed_result(model: str = "llama3.2:1b", **more: Any) -> Result:
    """A model of which nothing came."""
    problem = Problem(
        code="engine_unavailable",
        message="Engine 'ollama' cannot be reached.",
        hint="Start it: ollama serve.",
    )
    figures: dict[str, Any] = {
        "model": model,
        "success": False,
        "error": problem,
        "timestamp": TIMESTAMP + timedelta(seconds=2),
        "system_impact": Impact(absent={"cpu_during": "the machine was not looked at meanwhile"}),
        "requests": 3,
        "failed": 3,
        "errors": {"engine_unavailable": 3},
    }
    return Result(**{**figures, **more})


def system() -> SystemInfo:
    return SystemInfo(
        platform="Linux-6.1.0-x86_64-with-glibc2.36",
        processor="AMD EPYC",
        python_version="3.11.7",
        novasystem_version="0.1.0",
        cpu=Cpu(name="AMD EPYC", physical_cores=2, total_cores=2, current_frequency=2445.4),
        memory=Memory(total=23.5, available=20.5, used=3.0, percent_used=12.8),
    )


def environment(*models: str) -> Environment:
    return Environment(
        models=tuple(
            ModelEnvironment(
                model=model,
                engine="embedded",
                engine_kind="embedded",
                engine_version="xllamacpp 2026.10.11549",
                address="/opt/nova-tiny.gguf",
                digest="sha256:3ab7cc29b7736f75665e271663b5a4b5f08d1df9d92c3ae75772dc8b35ef05a0",
                quantization="F16",
                size_bytes=4_435_520,
                context_tokens=1024,
                threads=1,
            )
            for model in models
        )
    )


def benchmark(results: Sequence[Result] | None = None, **more: Any) -> Benchmark:
    """By default of two models, all of whose requests were answered."""
    if results is None:
        results = (result(samples()), result(samples(model="qwen3:0.6b", first=20)))
    models = tuple(each.model for each in results)
    prompt = "What is 2+2?"
    plan = Plan(
        models=models,
        workload=Prompt(prompt=prompt),
        repetitions=20,
        checks=(Check(kind="contains", value="4"),),
    )
    figures: dict[str, Any] = {
        "id": "bench_01hzx3v9m2",
        "run_id": "run_01hzx3v9m3",
        "timestamp": TIMESTAMP,
        "ended_at": TIMESTAMP + timedelta(seconds=10.4),
        "status": "completed",
        "mode": "parallel",
        "prompt": prompt,
        "parameters": {"temperature": 0.0, "max_tokens": 64},
        "plan": plan,
        "system_info": system(),
        "environment": environment(*models),
        "summary": Summary(
            wall_s=10.4,
            models=len(results),
            succeeded=sum(each.success for each in results),
            requests=sum(each.requests for each in results),
            failed_requests=sum(each.failed for each in results),
            client_cpu_s=0.21,
            client_lag_s=0.0008,
            schedule_delay_s=0.0001,
            average_model_time=10.2,
            total_model_time=20.4,
            parallel_speedup=1.96,
            efficiency_ratio=0.98,
            overhead_s=0.1,
        ),
        "results": tuple(results),
    }
    return Benchmark(**{**figures, **more})


def readings(seconds: int = 10, *, server: str = "embedded") -> Readings:
    """Ten looks a second, from two seconds before the origin: at rest, then one core in use."""
    rows = []
    for look in range(-20, seconds * 10 + 1):
        busy = max(0, look) / 10
        rows.append(
            Reading(
                at_ns=look * 100 * _MS,
                cpu_busy_s=(100 + busy * 0.9 + (look + 20) * 0.002, 100 + (look + 20) * 0.005),
                cpu_total_s=(1000 + (look + 20) / 10, 1000 + (look + 20) / 10),
                frequency_mhz=2445.4,
                memory_bytes=3 * 2**30 + (2**28 if look > 0 else 0),
                servers=(ServerReading(32 * 2**20, 5 + busy * 0.85, 1),),
            )
        )
    absent = {
        "gpu": "NVIDIA's driver does not answer: NVML Shared Library Not Found",
        "cpu_energy_j": "this machine has no RAPL: there is no /sys/class/powercap",
    }
    return Readings(tuple(rows), (server,), absent, 0.05, 0)
