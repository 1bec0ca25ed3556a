"""Carries a benchmark out, from its plan to its results; and tells at any time what is there.

What arrives is appended to a log by the load process, and from there brought into the store in
chunks. Whoever is killed, in whatever moment, loses none of it: what the store lacks the log has,
and the benchmark goes on behind it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from novasystem.benchmarks.collect import failure_of
from novasystem.benchmarks.former import wait_for_former
from novasystem.benchmarks.loading import loading
from novasystem.benchmarks.outcome import Parts, Status, outcome
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.records import Benchmark, Environment
from novasystem.benchmarks.sample_log import End, Header, Record, read_log
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.stores import BenchmarkStore
from novasystem.benchmarks.targets import Pinned, pin
from novasystem.engines.registry import Registry
from novasystem.errors import InvalidRequest, ModelNotFound, NovaError
from novasystem.storage.folders import make_folder
from novasystem.storage.ids import new_id

if TYPE_CHECKING:
    from novasystem.benchmarks.telemetry import Readings, Sampler

__all__ = ["Carrier", "new_benchmark", "prompt_of"]

_REST_S = 0.5
"""How long the machine is looked at before the first request."""
_KEEP_S = 1.0
_KEEP = 500

Show = Callable[[Record], None]

_log = structlog.get_logger(__name__)


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
    _open: dict[str, "_Work"] = field(default_factory=dict)

    def log_path(self, benchmark_id: str) -> Path:
        return self.folder / f"{benchmark_id}.log"

    def readings_path(self, benchmark_id: str) -> Path:
        return self.folder / f"{benchmark_id}.machine.json.gz"

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

    async def carry_out(self, benchmark: Benchmark, show: Show = lambda _: None) -> Benchmark:
        """From where it stands to its end; what it is then, as the store has it.

        ``show`` is told of each record as it comes. Where the caller is cancelled, what had arrived
        is kept, and the benchmark is stored as ``cancelled``.
        """
        work = _Work(self, benchmark, show)
        self._open[benchmark.id] = work
        try:
            return await work.carry_out()
        finally:
            del self._open[benchmark.id]

    async def current(self, benchmark: Benchmark) -> Benchmark:
        """``benchmark`` with the results of what has arrived, where it has not ended."""
        if benchmark.status not in {"queued", "running"} or benchmark.plan is None:
            return benchmark
        work = self._open.get(benchmark.id)
        readings = None if work is None else work.readings()
        records = await asyncio.to_thread(list, read_log(self.log_path(benchmark.id)))
        if not records:
            return benchmark
        parts = Parts.of(records)
        return await asyncio.to_thread(outcome, benchmark, parts, readings)

    async def samples(self, benchmark: Benchmark) -> Sequence[Sample]:
        """All that have arrived, by number."""
        path = self.log_path(benchmark.id)
        if benchmark.status in {"queued", "running"} and path.exists():
            return (await asyncio.to_thread(lambda: Parts.of(read_log(path)))).samples
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
            for path in (self.log_path(benchmark_id), self.readings_path(benchmark_id)):
                await asyncio.to_thread(path.unlink, missing_ok=True)
        return found


class _Work:
    """One execution."""

    def __init__(self, carrier: Carrier, benchmark: Benchmark, show: Show) -> None:
        self._carrier = carrier
        self._benchmark = benchmark
        self._show = show
        self._path = carrier.log_path(benchmark.id)
        self._sampler: Sampler | None = None
        self._origin_ns = 0
        self._unkept: list[Sample] = []
        self._kept_at = 0.0

    def readings(self) -> "Readings | None":
        if self._sampler is None or not self._origin_ns:
            return None
        return self._sampler.readings().since(self._origin_ns)

    async def carry_out(self) -> Benchmark:
        plan = self._benchmark.plan
        assert plan is not None
        make_folder(self._carrier.folder)
        # Of an execution before this one, which was killed: it may still be writing down its end.
        await wait_for_former(self._path)
        try:
            pinned, failed = await self._pin(plan)
            await self._begin(pinned, plan)
            status = await self._load(plan, pinned, failed)
        except asyncio.CancelledError:
            await asyncio.shield(self._end("cancelled", None))
            raise
        except NovaError as error:
            await self._end("failed", error)
            raise
        return await self._end(status, None)

    async def _pin(self, plan: Plan) -> tuple[list[Pinned], dict[str, Failure]]:
        found: list[Pinned] = []
        failed: dict[str, Failure] = {}
        for model in plan.models:
            try:
                found.append(await pin(self._carrier.registry, model))
            except NovaError as error:
                failed[model] = failure_of(error)
        return found, failed

    async def _begin(self, pinned: list[Pinned], plan: Plan) -> None:
        # A server starts without what only a benchmark needs.
        from novasystem.benchmarks.environment import model_environment, system_info
        from novasystem.benchmarks.telemetry import Sampler, finder

        options = plan.parameters.options
        described = await asyncio.gather(
            asyncio.to_thread(system_info),
            *(
                model_environment(one.engine, one.name, shown_as=one.model, options=options)
                for one in pinned
            ),
        )
        self._benchmark = self._benchmark.model_copy(
            update={
                "status": "running",
                "system_info": described[0],
                "environment": Environment(models=tuple(described[1:])),
            }
        )
        await self._carrier.store.put(self._benchmark)
        servers = {one.engine.name: finder(one.engine) for one in pinned}
        self._sampler = Sampler(servers)
        await asyncio.to_thread(self._sampler.start)
        await asyncio.sleep(_REST_S)

    async def _load(self, plan: Plan, pinned: list[Pinned], failed: dict[str, Failure]) -> Status:
        benchmark_id = self._benchmark.id
        async with loading(plan, benchmark_id, pinned, self._path, failed=failed) as load:
            try:
                async for record in load.records():
                    await self._take(record)
                    if isinstance(record, End):
                        return record.status
            except asyncio.CancelledError:
                # It writes down what it has; the log is read again at the end.
                load.stop()
                raise
        return "failed"

    async def _take(self, record: Record) -> None:
        self._see(record)
        if isinstance(record, Sample) and (
            len(self._unkept) >= _KEEP or time.monotonic() - self._kept_at > _KEEP_S
        ):
            await self._keep()

    def _see(self, record: Record) -> None:
        if isinstance(record, Header):
            self._origin_ns = record.origin_ns
        elif isinstance(record, Sample):
            self._unkept.append(record)
        self._show(record)

    async def _keep(self) -> None:
        """What the store cannot take now stays: the log has it, and it is tried again."""
        self._kept_at = time.monotonic()
        if not self._unkept:
            return
        benchmark = self._benchmark
        try:
            await self._carrier.store.add_samples(benchmark.owner_id, benchmark.id, self._unkept)
        except NovaError as error:
            await _log.awarning("samples wait for the store", id=benchmark.id, error=str(error))
            return
        self._unkept = []

    async def _end(self, status: Status, error: NovaError | None) -> Benchmark:
        """Work out the results of all that arrived, and keep them."""
        readings = None
        if self._sampler is not None:
            from novasystem.benchmarks.telemetry import keep_readings

            readings = await asyncio.to_thread(self._sampler.stop)
            if self._origin_ns:
                readings = readings.since(self._origin_ns)
                path = self._carrier.readings_path(self._benchmark.id)
                await asyncio.to_thread(keep_readings, path, readings)
        parts = await asyncio.to_thread(lambda: Parts.of(read_log(self._path)))
        ended = await asyncio.to_thread(
            outcome, self._benchmark, parts, readings, status=status, error=error
        )
        store = self._carrier.store
        if parts.samples:
            # All of them: what an execution before this one had kept in the log alone too.
            await store.add_samples(ended.owner_id, ended.id, parts.samples)
        await store.put(ended)
        self._benchmark = ended
        return ended
