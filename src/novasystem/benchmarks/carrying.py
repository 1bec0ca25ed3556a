"""Carries benchmarks out, from plan to results; and tells at any time what is there.

What arrives is appended to a log by the load process, and from there brought into the store in
chunks. Whoever is killed, in whatever moment, loses none of it: what the store lacks the log has,
and the benchmark goes on behind it.

A server starts without what only a benchmark needs: that is imported when the first one comes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from novasystem.benchmarks.logs import log_of, readings_of, remove
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.stores import BenchmarkStore
from novasystem.engines.registry import Registry
from novasystem.errors import InvalidRequest, ModelNotFound, NovaError, StorageUnavailable
from novasystem.storage.ids import new_id

if TYPE_CHECKING:
    from novasystem.benchmarks.outcome import Parts, Status
    from novasystem.benchmarks.telemetry import Readings
    from novasystem.benchmarks.work import Show, Work

__all__ = ["Carrier", "new_benchmark", "prompt_of"]


def prompt_of(plan: Plan) -> str | None:
    """The prompt, where there is just one."""
    workload = plan.workload
    if workload.kind == "prompt":
        return workload.prompt
    if workload.kind == "prompts" and len(workload.prompts) == 1:
        return workload.prompts[0]
    return None


def new_benchmark(plan: Plan, owner_id: str, *, run_id: str | None = None) -> Benchmark:
    """A benchmark that waits; its plan names every model."""
    return Benchmark(
        id=new_id("bench"),
        owner_id=owner_id,
        run_id=run_id,
        timestamp=datetime.now(UTC),
        status="queued",
        mode=plan.mode,
        prompt=prompt_of(plan),
        parameters=plan.parameters.model_dump(mode="json", exclude_defaults=True),
        plan=plan,
    )


@dataclass(slots=True)
class Carrier:
    """``folder``: where the logs are, each named after its benchmark."""

    registry: Registry
    store: BenchmarkStore
    folder: Path
    _open: dict[str, "Work"] = field(default_factory=dict)

    def log_path(self, benchmark_id: str) -> Path:
        return log_of(self.folder, benchmark_id)

    def readings_path(self, benchmark_id: str) -> Path:
        return readings_of(self.folder, benchmark_id)

    async def complete(self, plan: Plan) -> Plan:
        """``plan`` with every model that it is about; those are all that can chat, where it names
        none. Raises ``InvalidRequest`` where none of them is known."""
        known = await self.registry.models()
        models = plan.models or tuple(
            name
            for name, model in sorted(known.items())
            if not model.capabilities or "completion" in model.capabilities
        )
        unknown: list[str] = []
        for model in models:
            try:
                await self.registry.resolve(model)
            except ModelNotFound:
                unknown.append(model)
            except NovaError:
                # Its engine does not answer now, or the name is ambiguous: a result says so.
                pass
        if len(unknown) == len(models):
            asked = f"None of these models is known: {', '.join(unknown)}." if models else ""
            raise InvalidRequest(
                asked or "No model answers now, so there is nothing to measure.",
                hint=f"There are: {', '.join(sorted(known))}." if known else "See 'nova doctor'.",
                param="models",
            )
        return plan.model_copy(update={"models": tuple(dict.fromkeys(models))})

    async def carry_out(self, benchmark: Benchmark, show: "Show" = lambda _: None) -> Benchmark:
        """From where it stands to its end; what it is then, as the store has it.

        ``show`` is told of each record as it comes, and of what the machine does. Where the caller
        is cancelled, what had arrived is kept, and the benchmark is stored as ``cancelled``.
        """
        from novasystem.benchmarks.work import Work

        work = Work(self, benchmark, show)
        self._open[benchmark.id] = work
        try:
            ended = await work.carry_out()
        finally:
            del self._open[benchmark.id]
        try:
            # Where it could not be stored, a note says where it waits.
            return await self.store.get(ended.owner_id, ended.id) or ended
        except StorageUnavailable:
            return ended

    async def current(self, benchmark: Benchmark) -> Benchmark:
        """``benchmark`` with the results of what has arrived, where it has not ended."""
        if benchmark.status not in {"queued", "running"} or benchmark.plan is None:
            return benchmark
        work = self._open.get(benchmark.id)
        readings = None if work is None else work.readings()
        parts = await self._parts(benchmark)
        if not parts.began:
            return benchmark
        from novasystem.benchmarks.outcome import outcome

        return await asyncio.to_thread(outcome, benchmark, parts, readings)

    async def close(
        self, benchmark: Benchmark, status: "Status", error: NovaError | None
    ) -> Benchmark:
        """End one that nobody carries out any more, with the results of what had arrived."""
        from novasystem.benchmarks.outcome import outcome

        parts = await self._parts(benchmark)
        ended = await asyncio.to_thread(outcome, benchmark, parts, status=status, error=error)
        if parts.samples:
            await self.store.add_samples(ended.owner_id, ended.id, parts.samples)
        await self.store.put(ended)
        return ended

    async def _parts(self, benchmark: Benchmark) -> "Parts":
        from novasystem.benchmarks.outcome import Parts
        from novasystem.benchmarks.sample_log import read_log

        path = self.log_path(benchmark.id)
        return await asyncio.to_thread(lambda: Parts.of(read_log(path)))

    async def samples(self, benchmark: Benchmark) -> Sequence[Sample]:
        """All that have arrived, by number."""
        path = self.log_path(benchmark.id)
        if benchmark.status in {"queued", "running"} and path.exists():
            return (await self._parts(benchmark)).samples
        return await self.store.samples(benchmark.owner_id, benchmark.id)

    async def readings(self, benchmark: Benchmark) -> "Readings | None":
        """What the machine did; ``None`` where that was not kept on this machine."""
        work = self._open.get(benchmark.id)
        if work is not None:
            return work.readings()
        from novasystem.benchmarks.telemetry import kept_readings

        return await asyncio.to_thread(kept_readings, self.readings_path(benchmark.id))

    async def delete(self, owner_id: str, benchmark_id: str) -> bool:
        found = await self.store.delete(owner_id, benchmark_id)
        if found:
            await asyncio.to_thread(remove, self.folder, benchmark_id)
        return found
