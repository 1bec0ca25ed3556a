"""From what a log holds to a benchmark's results: the same at its end, and while it runs."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.records import Benchmark, BenchmarkStatus, Impact, Problem, Result
from novasystem.benchmarks.results import result
from novasystem.benchmarks.resuming import broken_off
from novasystem.benchmarks.sample_log import End, Header, ModelState, Record
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.summary import ClientFigures, summary
from novasystem.benchmarks.telemetry import Readings, impact
from novasystem.errors import NovaError

__all__ = ["Parts", "Status", "outcome"]

Status = Literal["completed", "cancelled", "failed"]

OLLAMA_CACHE = (
    "Ollama keeps the prompt that it answered last, and cannot be told not to: from the second "
    "time on, the time to first token of a prompt of your own is that of a prompt in the cache. "
    "Made-up prompts, and the phase 'cold', are not in it."
)


@dataclass(slots=True)
class Parts:
    """What a log holds, sorted: of each number the last sample. ``wall_ns``, ``cpu_s``: of all
    executions together, as far as they could say it."""

    samples: list[Sample] = field(default_factory=list)
    failures: dict[str, Failure] = field(default_factory=dict)
    ended: End | None = None
    began: bool = False
    """Whether there is anything."""
    wall_ns: int = 0
    cpu_s: float = 0.0
    busiest_s: float = 0.0
    """The CPU time of that process of each execution that took most."""
    lag_ns: int = 0

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Parts":
        parts = cls()
        samples: dict[int, Sample] = {}
        begins_ns = 0
        for record in records:
            match record:
                case Header():
                    parts.began = True
                    begins_ns = record.begins_ns
                    parts.ended = None
                    # What was given up is made again, and counts then.
                    for number, sample in samples.items():
                        if broken_off(sample):
                            samples[number] = replace(sample, counted=False)
                case Sample():
                    samples[record.number] = record
                case ModelState() if record.state == "failed" and record.failure is not None:
                    parts.failures[record.model] = record.failure
                case ModelState() if record.state in {"started", "done"}:
                    parts.failures.pop(record.model, None)
                case End():
                    parts.ended = record
                    parts.wall_ns += record.at_ns - begins_ns
                    parts.cpu_s += record.load_cpu_s
                    parts.busiest_s += max(record.load_cpus_s, default=record.load_cpu_s)
                    parts.lag_ns = max(parts.lag_ns, record.lag_ns)
        parts.samples = [samples[number] for number in sorted(samples)]
        return parts

    @property
    def client(self) -> ClientFigures:
        if self.ended is None:
            return ClientFigures()
        return ClientFigures(
            self.wall_ns / 1e9,
            self.cpu_s,
            self.lag_ns / 1e9,
            self.busiest_s,
            max(1, len(self.ended.load_cpus_s)),
        )


def outcome(
    benchmark: Benchmark,
    parts: Parts,
    readings: Readings | None = None,
    *,
    status: Status | None = None,
    error: NovaError | None = None,
) -> Benchmark:
    """``benchmark`` with the results of all that arrived.

    ``status``: how the load ended; ``None`` while it goes on. ``error``: what kept it from
    beginning or from going on.
    """
    plan = benchmark.plan
    assert plan is not None
    results = tuple(_result(benchmark, plan, model, parts, readings) for model in plan.models)
    ended = parts.ended
    problem: Problem | None = None
    if error is not None:
        problem = Problem(code=error.code, message=error.message, hint=error.hint)
    elif ended is not None and ended.failure is not None:
        problem = _problem(ended.failure)
    changes = {
        "results": results,
        "summary": summary(parts.samples, plan, parts.client),
        "error": problem,
    }
    if status is not None:
        changes |= {"status": _status(status, results), "ended_at": datetime.now(UTC)}
    return benchmark.model_copy(update=changes)


def _status(status: Status, results: Iterable[Result]) -> BenchmarkStatus:
    if status == "cancelled":
        return "cancelled"
    found = list(results)
    if not any(one.success for one in found):
        return "failed"
    whole = status == "completed" and all(one.success and not one.failed for one in found)
    return "completed" if whole else "partial"


def _result(
    benchmark: Benchmark, plan: Plan, model: str, parts: Parts, readings: Readings | None
) -> Result:
    own = [sample for sample in parts.samples if sample.model == model]
    failure = parts.failures.get(model)
    found = result(
        model,
        own,
        plan,
        timestamp=benchmark.timestamp,
        impact=_impact(benchmark, plan, model, own, readings),
        error=None if failure is None else _problem(failure),
    )
    where = next((one for one in benchmark.environment.models if one.model == model), None)
    if where is not None and where.engine_kind == "ollama" and _asked_again(plan, own):
        return found.model_copy(update={"notes": (OLLAMA_CACHE,)})
    return found


def _asked_again(plan: Plan, own: list[Sample]) -> bool:
    """Whether prompts that are the user's own, and so are not varied, met the model warm twice."""
    if plan.workload.kind not in {"prompt", "prompts", "conversation"}:
        return False
    warm = [(one.item, one.turn) for one in own if one.phase == "warm"]
    return len(set(warm)) < len(warm)


def _impact(
    benchmark: Benchmark,
    plan: Plan,
    model: str,
    own: list[Sample],
    readings: Readings | None,
) -> Impact | None:
    """What the machine did while the model was at work."""
    counted = [sample for sample in own if sample.counted]
    if readings is None or not counted:
        return None
    engine = next((one.engine for one in benchmark.environment.models if one.model == model), None)
    tokens = [sample.completion_tokens for sample in counted if sample.failure is None]
    known = [count for count in tokens if count is not None]
    return impact(
        readings,
        min(sample.scheduled_ns for sample in counted),
        max(sample.ended_ns for sample in counted),
        sum(known) if known and len(known) == len(tokens) else None,
        server=engine,
        alone=plan.mode == "sequential" or len(plan.models) == 1,
    )


def _problem(failure: Failure) -> Problem:
    return Problem(code=failure.code, message=failure.message, hint=failure.hint)
