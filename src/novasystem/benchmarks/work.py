"""One execution of a benchmark: prepared, its load made, what comes of it kept and worked out."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from novasystem.benchmarks.collect import failure_of
from novasystem.benchmarks.environment import model_environment, system_info
from novasystem.benchmarks.former import held, wait_for_former
from novasystem.benchmarks.loading import loading
from novasystem.benchmarks.outcome import Parts, Status, outcome
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.records import Benchmark, Environment
from novasystem.benchmarks.sample_log import End, Header, Record, read_log
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.targets import Pinned, pin
from novasystem.benchmarks.telemetry import Curves, MachineFigures, Readings, Sampler, finder
from novasystem.errors import NovaError
from novasystem.storage.folders import make_folder

if TYPE_CHECKING:
    from novasystem.benchmarks.carrying import Carrier

__all__ = ["Show", "Work"]

_REST_S = 0.5
"""How long the machine is looked at before the first request."""
_KEEP_S = 1.0
_KEEP = 500
_SHOW_S = 0.3
"""How often it is shown what the machine does."""

Show = Callable[[Record | MachineFigures], None]

_log = structlog.get_logger(__name__)


class Work:
    """One execution."""

    def __init__(self, carrier: "Carrier", benchmark: Benchmark, show: Show) -> None:
        self._carrier = carrier
        self._benchmark = benchmark
        self._show = show
        self._path = carrier.log_path(benchmark.id)
        self._sampler: Sampler | None = None
        self._origin_ns = 0
        self._unkept: list[Sample] = []
        self._kept_at = 0.0

    def readings(self) -> Readings | None:
        if self._sampler is None or not self._origin_ns:
            return None
        return self._sampler.readings().since(self._origin_ns)

    async def carry_out(self) -> Benchmark:
        plan = self._benchmark.plan
        assert plan is not None
        make_folder(self._carrier.folder)
        with held(self._path):
            return await self._carry_out(plan)

    async def _carry_out(self, plan: Plan) -> Benchmark:
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
        await _log.ainfo(
            "a benchmark begins",
            benchmark_id=self._benchmark.id,
            models=list(plan.models),
            workload=plan.workload.kind,
            load=plan.load.kind,
        )
        servers = {one.engine.name: finder(one.engine) for one in pinned}
        self._sampler = Sampler(servers)
        await asyncio.to_thread(self._sampler.start)
        await asyncio.sleep(_REST_S)

    async def _load(self, plan: Plan, pinned: list[Pinned], failed: dict[str, Failure]) -> Status:
        benchmark_id = self._benchmark.id
        async with loading(plan, benchmark_id, pinned, self._path, failed=failed) as load:
            showing = asyncio.create_task(self._show_machine())
            try:
                async for record in load.records():
                    await self._take(record)
                    if isinstance(record, End):
                        return record.status
            except asyncio.CancelledError:
                # It writes down what it has; the log is read again at the end.
                load.stop()
                raise
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)
        return "failed"

    async def _show_machine(self) -> None:
        assert self._sampler is not None
        curves = Curves(self._sampler)
        while True:
            seen = curves.next(self._origin_ns)
            if seen is not None and self._origin_ns:
                self._show(seen)
            await asyncio.sleep(_SHOW_S)

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
        told = _log.ainfo if ended.status in {"completed", "cancelled"} else _log.awarning
        await told(
            "a benchmark has ended",
            benchmark_id=ended.id,
            status=ended.status,
            requests=ended.summary.requests,
            failed=ended.summary.failed_requests,
            valid=ended.summary.valid,
            wall_s=ended.summary.wall_s,
        )
        self._benchmark = ended
        return ended
