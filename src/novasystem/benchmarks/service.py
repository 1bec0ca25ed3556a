"""Benchmarks as a server carries them out: each is a durable run, watched, cancelled, read back."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

from sqlalchemy.engine import Connection

from novasystem.benchmarks.carrying import Carrier, new_benchmark
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.stores import Page, Query
from novasystem.errors import IllegalTransition, NotFound, NovaError, RunFailed
from novasystem.runs import store as run_store
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.records import NewRun, Outcome, Run, Seen
from novasystem.runs.service import Runs
from novasystem.runs.state import ENDED
from novasystem.storage.ids import new_id

if TYPE_CHECKING:
    from novasystem.benchmarks.sample_log import Record
    from novasystem.benchmarks.telemetry import MachineFigures, Readings

__all__ = ["KIND", "LANE", "Benchmarks", "benchmark_kind"]

KIND = "benchmark"
LANE = "benchmarks"
_GOING = {"queued", "running"}


def benchmark_kind(carrier: Carrier) -> Kind:
    """What a benchmark's run executes; one that was interrupted goes on behind its log."""

    async def execute(context: RunContext) -> Outcome:
        from novasystem.benchmarks.sample_log import read_log
        from novasystem.benchmarks.telling import Teller

        run = context.run
        benchmark_id = run.request["benchmark_id"]
        benchmark = await carrier.store.get(run.owner_id, benchmark_id)
        if benchmark is None or benchmark.plan is None:
            raise NotFound("benchmark", benchmark_id)
        plan = benchmark.plan

        path = carrier.log_path(benchmark_id)
        # What an execution before this one has done is done; in one pass, as it may be long.
        teller = await asyncio.to_thread(lambda: Teller(plan, read_log(path)))

        def show(record: "Record | MachineFigures") -> None:
            for type_, said in teller.tell(record):
                context.emit(type_, said)

        ended = await carrier.carry_out(benchmark, show)
        return Outcome("completed", {"benchmark_id": ended.id, "status": ended.status})

    return Kind(execute, resumes=True)


class Benchmarks:
    """The benchmarks of one store, carried out by the runs of one database."""

    def __init__(self, runs: Runs, carrier: Carrier) -> None:
        self._runs = runs
        self.carrier = carrier
        self.store = carrier.store

    async def start(self, plan: Plan, owner_id: str, *, watched: bool = False) -> Benchmark:
        """``watched``: a caller that is cancelled before it has its answer ends the benchmark.

        Raises ``InvalidRequest`` where none of the plan's models is known.
        """
        complete = await self.carrier.complete(plan)
        run_id = new_id("run")
        benchmark = new_benchmark(complete, owner_id, run_id=run_id)
        await self.store.put(benchmark)

        def new(_connection: Connection) -> NewRun:
            return NewRun(KIND, owner_id, {"benchmark_id": benchmark.id}, id=run_id)

        try:
            await self._runs.start(new, lane=LANE, unseen="cancel" if watched else "go_on")
        except NovaError:
            await self.store.delete(owner_id, benchmark.id)
            raise
        return benchmark

    async def finish(self, benchmark: Benchmark) -> Benchmark:
        """The benchmark once it has ended; it is cancelled where the caller is.

        Raises ``RunFailed`` with what went wrong where no model gave an answer.
        """
        run = await self._run(benchmark)
        assert run is not None
        try:
            async with aclosing(self._runs.follow(run)) as events:
                async for _ in events:
                    pass
        except asyncio.CancelledError:
            self._runs.abandon(run)
            raise
        ended = await self.get(benchmark.owner_id, benchmark.id)
        if ended.status == "failed":
            errors = [one.error for one in ended.results if one.error is not None]
            why = ended.error or (errors[0] if errors else None)
            if why is not None:
                error = RunFailed(why.code, why.message)
                error.hint = f"{why.hint} It is kept as {ended.id}.".strip()
                raise error
        return ended

    async def get(self, owner_id: str, benchmark_id: str) -> Benchmark:
        """With the results of what has arrived where it still goes on; raises ``NotFound``."""
        found = await self.store.get(owner_id, benchmark_id)
        if found is None:
            raise NotFound("benchmark", benchmark_id, param="benchmark_id")
        return await self.carrier.current(await self._settled(found))

    async def list(self, query: Query) -> Page:
        """As the store has them; those of which the run is over are settled first."""
        page = await self.store.list(query)
        if any([await self._settled(one) is not one for one in page.benchmarks]):
            page = await self.store.list(query)
        return page

    async def samples(self, benchmark: Benchmark) -> Sequence[Sample]:
        return await self.carrier.samples(benchmark)

    async def readings(self, benchmark: Benchmark) -> "Readings | None":
        return await self.carrier.readings(benchmark)

    async def cancel(self, owner_id: str, benchmark_id: str) -> Benchmark:
        """Ask for its end, which comes within a second; what had arrived is kept.

        Raises ``NotFound``, or ``IllegalTransition`` where it has ended.
        """
        benchmark = await self.get(owner_id, benchmark_id)
        if benchmark.status not in _GOING or benchmark.run_id is None:
            raise IllegalTransition(benchmark.id, benchmark.status, "cancelling")
        await self._runs.cancel(benchmark.run_id, owner_id)
        return await self.get(owner_id, benchmark_id)

    async def delete(self, owner_id: str, benchmark_id: str) -> None:
        """One that still goes on is cancelled before; raises ``NotFound``."""
        benchmark = await self.get(owner_id, benchmark_id)
        if benchmark.status in _GOING:
            run = await self._run(benchmark)
            if run is not None:
                await self._runs.cancel(run.id, owner_id)
                await self._runs.wait(run, 10)
        await self.carrier.delete(owner_id, benchmark_id)

    async def follow(
        self, owner_id: str, benchmark_id: str, after: int
    ) -> tuple[Run, AsyncGenerator[Seen, None]]:
        """Its run, and the events behind the number ``after``; raises ``NotFound``, also for one
        that no run carried out."""
        benchmark = await self.get(owner_id, benchmark_id)
        run = await self._run(benchmark)
        if run is None:
            raise NotFound("run of the benchmark", benchmark_id, param="benchmark_id")
        return run, self._runs.follow(run, min(after, run.last_seq - (run.status in ENDED)))

    async def going(self, owner_id: str) -> Sequence[Benchmark]:
        """Those that wait or are carried out, oldest first."""
        query = Query(owner_id=owner_id, statuses=("queued", "running"), descending=False)
        return (await self.list(query)).benchmarks

    async def _run(self, benchmark: Benchmark) -> Run | None:
        if benchmark.run_id is None:
            return None
        try:
            return await self._runs.get(benchmark.run_id, benchmark.owner_id)
        except NotFound:
            return None

    async def _settled(self, benchmark: Benchmark) -> Benchmark:
        """``benchmark``, ended where its run is over and could not do that itself: cancelled while
        it waited, or given up after its server died too often."""
        if benchmark.status not in _GOING or benchmark.run_id is None:
            return benchmark
        database = self._runs.database
        run = await database.read(run_store.get, benchmark.run_id, owner_id=benchmark.owner_id)
        if run is not None and run.status not in ENDED:
            return benchmark
        newest = await self.store.get(benchmark.owner_id, benchmark.id)
        if newest is None or newest.status not in _GOING:
            return newest or benchmark
        cancelled = run is not None and run.status == "cancelled"
        status: Literal["cancelled", "failed"] = "cancelled" if cancelled else "failed"
        error = None
        if status == "failed":
            said = {} if run is None or run.error is None else run.error
            error = RunFailed(
                said.get("code", "run_gone"), said.get("message", "Its run is not there any more.")
            )
        return await self.carrier.close(newest, status, error)
