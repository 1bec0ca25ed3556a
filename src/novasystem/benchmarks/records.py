"""A benchmark as it is stored and shown: what was planned, where, and what came of it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from novasystem.benchmarks.plan import Mode, Plan

__all__ = [
    "Benchmark",
    "BenchmarkStatus",
    "CheckCount",
    "Distribution",
    "Environment",
    "Impact",
    "ModelEnvironment",
    "Problem",
    "RateStep",
    "Result",
    "Summary",
    "SweepResult",
    "SystemInfo",
    "Throughput",
    "Timing",
    "TokenCounts",
]

BenchmarkStatus = Literal["queued", "running", "completed", "partial", "failed", "cancelled"]
"""``partial``: ended, and some models or requests failed."""


class _Record(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        allow_inf_nan=False,
        defer_build=True,
    )


class Problem(_Record):
    code: str
    message: str
    hint: str = ""


class Cpu(_Record):
    """Frequencies in MHz; ``None`` where the system does not say."""

    name: str | None = None
    physical_cores: int | None = None
    total_cores: int
    max_frequency: float | None = None
    min_frequency: float | None = None
    current_frequency: float | None = None
    governor: str | None = None


class Memory(_Record):
    """In GiB."""

    total: float
    available: float
    used: float
    percent_used: float


class Gpu(_Record):
    """``memory_total`` in GiB."""

    name: str
    memory_total: float | None = None
    driver: str | None = None


class SystemInfo(_Record):
    platform: str
    processor: str
    python_version: str
    novasystem_version: str
    cpu: Cpu
    memory: Memory
    gpu: tuple[Gpu, ...] = ()


class ModelEnvironment(_Record):
    """What a model's figures depend on beside the machine."""

    model: str
    engine: str
    engine_kind: str
    engine_version: str | None = None
    address: str
    digest: str | None = None
    quantization: str | None = None
    parameters: str | None = None
    size_bytes: int | None = None
    context_tokens: int | None = None
    threads: int | None = None


class Environment(_Record):
    models: tuple[ModelEnvironment, ...] = ()


class Distribution(_Record):
    """One metric over a model's successful requests.

    ``ci_low`` and ``ci_high``: the 95 % confidence interval of the mean (bootstrap);
    ``percentile_intervals``: those of the percentiles, by name. A percentile is ``None`` below the
    number of samples that supports it.
    """

    n: int
    mean: float
    ci_low: float | None = None
    ci_high: float | None = None
    stdev: float | None = None
    min: float
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float
    percentile_intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)


class Timing(_Record):
    """In seconds from the moment that the request was sent; medians where there were several."""

    time_to_first_chunk: float | None = None
    time_to_first_token: float | None = None
    total_time: float | None = None


class Throughput(_Record):
    total_chunks: int = 0
    total_bytes: int = 0
    average_chunk_size: float | None = None
    bytes_per_second: float | None = None
    output_tokens_per_second: float | None = None
    prefill_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None


class TokenCounts(_Record):
    """Over all successful requests; ``None`` where the engine does not say."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    reasoning: int | None = None


class Impact(_Record):
    """What the machine did meanwhile. ``cpu_delta``: percentage points per core between before and
    the mean during; ``memory_delta`` in GiB at its peak. ``absent``: why something is not there."""

    cpu_before: tuple[float, ...] = ()
    cpu_during: tuple[float, ...] = ()
    cpu_delta: tuple[float, ...] = ()
    cpu_frequency_mhz: float | None = None
    memory_delta: float | None = None
    server_memory: float | None = None
    """Resident memory of the model server's processes at its peak, in GiB."""
    server_cpu_s: float | None = None
    gpu_percent: float | None = None
    gpu_memory: float | None = None
    gpu_power_w: float | None = None
    gpu_temperature_c: float | None = None
    gpu_throttled: tuple[str, ...] = ()
    """What held a GPU's clock down meanwhile, in words."""
    energy_j: float | None = None
    """Beyond what the machine takes at rest."""
    energy_per_token_j: float | None = None
    sampler_cpu_s: float | None = None
    absent: dict[str, str] = Field(default_factory=dict)


class CheckCount(_Record):
    """``failures``: the first few, each with the request's number and what was seen."""

    check: str
    passed: int
    failed: int
    failures: tuple[str, ...] = ()


class RateStep(_Record):
    """One rate of a sweep. ``good``: requests that met every objective; ``achieved_per_s``: at
    which answers ended; ``held``: whether the rate was kept up and the objectives with it."""

    rate_per_s: float
    requests: int
    good: int
    achieved_per_s: float | None = None
    held: bool


class SweepResult(_Record):
    """``highest_rate_per_s``: the highest that held; ``knee_per_s``: the highest at which the
    server still answered as fast as it was asked. ``None`` where none did."""

    steps: tuple[RateStep, ...]
    highest_rate_per_s: float | None = None
    knee_per_s: float | None = None


class Result(_Record):
    """One model's. ``requests``, ``failed``: how many were made and how many of them failed;
    ``errors``: those by code. ``response``: the last answer's text. ``notes``: what its figures
    are to be read with."""

    model: str
    success: bool
    error: Problem | None = None
    timestamp: datetime
    timing: Timing = Timing()
    throughput: Throughput = Throughput()
    tokens: TokenCounts = TokenCounts()
    system_impact: Impact = Impact()
    checks: tuple[CheckCount, ...] = ()
    response: str = ""
    requests: int = 0
    failed: int = 0
    errors: dict[str, int] = Field(default_factory=dict)
    metrics: dict[str, Distribution] = Field(default_factory=dict)
    goodput_per_s: float | None = None
    sweep: SweepResult | None = None
    notes: tuple[str, ...] = ()


class Summary(_Record):
    """Of the whole. ``parallel_speedup`` and ``efficiency_ratio`` are ``None`` in sequential ones.

    ``overhead_s``: wall time in which no model was at work. ``client_cpu_s``: of all the
    ``client_processes`` that made the load. ``client_lag_s``, ``schedule_delay_s``: the most that
    one's event loop, and that a request, was late.
    ``valid``: whether the client kept up; if not, ``invalid_because`` says how it did not.
    """

    wall_s: float | None = None
    models: int = 0
    succeeded: int = 0
    requests: int = 0
    failed_requests: int = 0
    valid: bool = True
    invalid_because: tuple[str, ...] = ()
    client_processes: int = 1
    client_cpu_s: float | None = None
    client_lag_s: float | None = None
    schedule_delay_s: float | None = None
    average_model_time: float | None = None
    total_model_time: float | None = None
    parallel_speedup: float | None = None
    efficiency_ratio: float | None = None
    overhead_s: float | None = None


class Benchmark(_Record):
    """``timestamp``: when it was asked for, with its zone. ``prompt``: where it had just one.

    ``run_id``: the durable run that carries it out; ``None`` for one that was imported. ``notes``:
    what it is to be read with.
    """

    id: str
    owner_id: str = "local"
    run_id: str | None = None
    timestamp: datetime
    ended_at: datetime | None = None
    status: BenchmarkStatus
    mode: Mode
    prompt: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    plan: Plan | None = None
    system_info: SystemInfo | None = None
    environment: Environment = Environment()
    summary: Summary = Summary()
    results: tuple[Result, ...] = ()
    error: Problem | None = None
    notes: tuple[str, ...] = ()
    archived: bool = False
