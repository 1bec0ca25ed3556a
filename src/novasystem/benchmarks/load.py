"""Carries out a plan: the models in parallel or one after the other, within the limits of time.

Each model is on its own: what fails for one spoils no other. Everything that happens is written as
records of the log, in the order in which it happened; nothing is kept back.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from novasystem.benchmarks.asking import Enough, Shared
from novasystem.benchmarks.crew import Crew, Figures
from novasystem.benchmarks.lag import LagMeter
from novasystem.benchmarks.live import LiveTexts
from novasystem.benchmarks.model_load import ModelLoad
from novasystem.benchmarks.plan import Convergence, Plan
from novasystem.benchmarks.resuming import CANCELLED, Done
from novasystem.benchmarks.sample_log import ClientFigures, End, Record
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.targets import Reached

__all__ = ["Load", "enough"]

_FIGURES_NS = 1_000_000_000


@dataclass(slots=True)
class Load:
    """One part of a benchmark: the whole, or what is left of it.

    ``write`` takes each record as it is made. ``origin_ns``: the ``perf_counter_ns`` that times
    count from. ``enough``: asked after each repetition with the samples of all of them, whether to
    stop. ``crew``: other processes that make it too; they are let go at its end.
    """

    plan: Plan
    benchmark_id: str
    models: Sequence[Reached]
    write: Callable[[Record], None]
    origin_ns: int
    done: Done = field(default_factory=Done)
    enough: Enough | None = None
    crew: Crew | None = None
    _stopped: Failure | None = None
    _status: Literal["completed", "cancelled", "failed"] = "completed"
    _running: list[ModelLoad] = field(default_factory=list)
    _figures_due_ns: int = 0
    _lag: LagMeter = field(init=False)
    _live: LiveTexts = field(init=False)

    async def run(self) -> End:
        """Make the load to its end, and return the last record, which is written too."""
        began_cpu_s = time.process_time()
        self._live = LiveTexts(self.write)
        with LagMeter(self._tick) as self._lag:
            shared = Shared(
                plan=self.plan,
                benchmark_id=self.benchmark_id,
                origin_ns=self.origin_ns,
                write=self.write,
                lag=self._lag,
                live=self._live,
                numbers=count(self.done.next_number),
                done=self.done,
                enough=self.enough,
                crew=self.crew,
            )
            limit = asyncio.get_running_loop().call_later(
                self.plan.limits.benchmark_s, self._out_of_time
            )
            try:
                await self._models(shared)
            except asyncio.CancelledError:
                # Somebody cancelled this task instead of calling stop().
                self.stop()
                raise
            finally:
                limit.cancel()
                ended_ns = self._now_ns()
                if self.crew is not None:
                    await self.crew.close()
                end = self._end(began_cpu_s, ended_ns)
                self.write(end)
        return end

    def _end(self, began_cpu_s: float, ended_ns: int) -> End:
        cpu_s = time.process_time()
        each = [(cpu_s - began_cpu_s, self._lag.most_ns)]
        if self.crew is not None:
            cpu_s += self.crew.figures().cpu_s
            each += self.crew.each()
        several = len(each) > 1
        return End(
            self._status,
            ended_ns,
            cpu_s=cpu_s,
            load_cpu_s=sum(one for one, _ in each),
            lag_ns=max(lag_ns for _, lag_ns in each),
            failure=self._stopped,
            load_cpus_s=tuple(one for one, _ in each) if several else (),
            lags_ns=tuple(lag_ns for _, lag_ns in each) if several else (),
        )

    def stop(self) -> None:
        """Cancel: every request that is under way is given up at its engine, its sample kept."""
        self._stop(Failure(CANCELLED, "The benchmark was cancelled."), "cancelled")

    def fail(self, why: Failure) -> None:
        """As :meth:`stop`, for a reason that is nobody's wish."""
        self._stop(why, "failed")

    def _out_of_time(self) -> None:
        limit_s = self.plan.limits.benchmark_s
        why = Failure(
            "benchmark_timeout",
            f"The benchmark took longer than its limit of {limit_s:g} s.",
            "Raise benchmark_s in the plan's limits, or ask for less.",
        )
        self._stop(why, "failed")

    def _stop(self, why: Failure, status: Literal["cancelled", "failed"]) -> None:
        if self._stopped is None:
            self._stopped, self._status = why, status
        for model in self._running:
            model.stop(self._stopped)

    async def _models(self, shared: Shared) -> None:
        every = [ModelLoad(shared, reached) for reached in self.models]
        turns = [every] if self.plan.mode == "parallel" else [[model] for model in every]
        for together in turns:
            if self._stopped is not None:
                return
            self._running = together
            tasks = [asyncio.create_task(model.run()) for model in together]
            try:
                await asyncio.gather(*tasks)
            except BaseException:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                raise

    def _tick(self, now_ns: int) -> None:
        at_ns = now_ns - self.origin_ns
        self._live.tick(at_ns)
        if now_ns >= self._figures_due_ns:
            self._figures_due_ns = now_ns + _FIGURES_NS
            others = Figures() if self.crew is None else self.crew.figures()
            in_flight = sum(model.in_flight for model in self._running)
            self.write(
                ClientFigures(
                    at_ns,
                    time.process_time() + others.cpu_s,
                    max(self._lag.take(), others.lag_ns),
                    in_flight + others.in_flight,
                )
            )

    def _now_ns(self) -> int:
        return time.perf_counter_ns() - self.origin_ns


def enough(until: Convergence) -> Enough:
    """Whether the plan's metric is known well enough."""
    from novasystem.benchmarks.metrics import values
    from novasystem.benchmarks.statistics import converged

    def judged(repetitions: Sequence[Sequence[Sample]]) -> bool:
        return converged([values(one, until.metric) for one in repetitions], until)

    return judged
