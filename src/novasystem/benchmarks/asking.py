"""One request of a benchmark: made cold or primed, sent, collected, written down."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

from novasystem.benchmarks.collect import Collector, Place, failure_of
from novasystem.benchmarks.lag import LagMeter
from novasystem.benchmarks.live import LiveTexts
from novasystem.benchmarks.plan import Phase, Plan
from novasystem.benchmarks.resuming import CANCELLED, Done
from novasystem.benchmarks.sample_log import Record
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.targets import Reached
from novasystem.benchmarks.workloads import Ask, request
from novasystem.engines.requests import GenerateRequest, Message
from novasystem.errors import (
    EngineProtocolError,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
)

if TYPE_CHECKING:
    from novasystem.benchmarks.crew import Crew

__all__ = ["IN_A_ROW", "Asking", "Enough", "GivenUp", "Shared"]

IN_A_ROW = 50
"""So many failures one after the other, and a closed loop gives its model up."""

Enough = Callable[[Sequence[Sequence[Sample]]], bool]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the models of one benchmark have in common. ``numbers`` counts its requests."""

    plan: Plan
    benchmark_id: str
    origin_ns: int
    write: Callable[[Record], None]
    lag: LagMeter
    live: LiveTexts
    numbers: Iterator[int]
    done: Done
    enough: Enough | None
    crew: "Crew | None" = None
    """Other processes that make this load too."""

    @property
    def keeps_samples(self) -> bool:
        """Whether somebody looks at a block's samples at its end; all of them are in the log."""
        return self.enough is not None or self.plan.load.kind == "sweep"

    def now_ns(self) -> int:
        return time.perf_counter_ns() - self.origin_ns


class GivenUp(Exception):
    """Nothing more is asked of this model, because of ``failure``."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Asking:
    """Asks one model. ``stopped``: why, once it is to ask no more. ``succeeded``: whether it has
    answered at all, so that a refusal is not one of everything."""

    def __init__(self, shared: Shared, reached: Reached) -> None:
        self.in_flight = 0
        self.stopped: Failure | None = None
        self.succeeded = False
        self._shared = shared
        self._reached = reached
        self._failed_in_a_row = 0
        self._lies_in_cache: tuple[Message, ...] | None = None

    async def one(
        self,
        phase: Phase,
        block: int,
        ask: Ask,
        *,
        scheduled_ns: int | None = None,
        counted: bool = True,
        prime: bool = False,
        rate_per_s: float | None = None,
        numbers: Iterator[int] | None = None,
        shown: bool = True,
    ) -> Sample:
        """Make this request, and write down its sample, whatever comes of it.

        ``scheduled_ns``: when an open loop wanted it to leave; a closed one wants it now, after
        what comes before it: unloading the model in the cold phase, and with ``prime`` asking
        what is to lie in the cache. ``numbers``: where its number comes from, if not from those of
        all. ``shown``: whether what the model says may be followed. Raises ``GivenUp`` where it
        makes no sense to go on.
        """
        load_ns: int | None = None
        if counted and phase == "cold":
            load_ns = await self._reached.make_cold()
        if prime:
            await self.prime(phase, block, ask)
        shared = self._shared
        place = Place(
            number=next(shared.numbers if numbers is None else numbers),
            model=self._reached.model,
            phase=phase,
            block=block,
            item=ask.item,
            turn=ask.turn,
            counted=counted,
            scheduled_ns=shared.now_ns() if scheduled_ns is None else scheduled_ns,
            prompt_target_tokens=ask.prompt_target_tokens,
            output_target_tokens=ask.output_target_tokens,
            depth_tokens=ask.depth_tokens,
            load_ns=load_ns,
            rate_per_s=rate_per_s,
        )
        self._lies_in_cache = ask.messages
        asked = request(shared.plan, self._reached.name, ask)
        sample, error = await self._collected(place, asked, shown=shown)
        await self._judge(sample, error, closed=scheduled_ns is None)
        return sample

    async def prime(self, phase: Phase, block: int, ask: Ask) -> None:
        """Ask, uncounted and for one token, what is to lie in the cache, unless it was the last
        thing that was asked. Where it fails, so will what follows."""
        if ask.prime is None or ask.prime == self._lies_in_cache:
            return
        shared = self._shared
        place = Place(
            number=next(shared.numbers),
            model=self._reached.model,
            phase=phase,
            block=block,
            item=ask.item,
            turn=ask.turn,
            counted=False,
            scheduled_ns=shared.now_ns(),
        )
        asked = request(shared.plan, self._reached.name, ask, prime=True)
        await self._collected(place, asked, shown=False)
        self._lies_in_cache = ask.prime

    async def _collected(
        self, place: Place, asked: GenerateRequest, *, shown: bool = True
    ) -> tuple[Sample, Exception | None]:
        shared = self._shared
        now_ns = shared.now_ns()
        follow = shared.live.begin(place.model, place.number, now_ns) if shown else None
        collector = Collector(shared.origin_ns, follow)
        failure: Failure | None = None
        raised: Exception | None = None
        cancelled = False
        self.in_flight += 1
        try:
            async with aclosing(self._reached.engine.generate(asked)) as events:
                async for event in events:
                    collector.take(event)
        except asyncio.CancelledError:
            cancelled = True
            failure = self.stopped or Failure(CANCELLED, "The request was cancelled.")
        except Exception as error:
            raised = error
            failure = failure_of(error)
        self.in_flight -= 1
        sample = collector.sample(
            place,
            ended_ns=shared.now_ns(),
            lag_ns=shared.lag.since(shared.origin_ns + place.scheduled_ns),
            failure=failure,
        )
        shared.live.end(place.model, place.number, sample.ended_ns)
        shared.write(sample)
        if cancelled:
            raise asyncio.CancelledError
        return sample, raised

    async def _judge(self, sample: Sample, error: Exception | None, *, closed: bool) -> None:
        if error is None:
            self.succeeded = True
            self._failed_in_a_row = 0
            return
        assert sample.failure is not None
        self._failed_in_a_row += 1
        if not self.succeeded and isinstance(error, (InvalidRequest, ModelNotFound)):
            # What is wrong is wrong with each of them.
            self._give_up(sample.failure)
        if closed and self._failed_in_a_row >= IN_A_ROW:
            said = f"{IN_A_ROW} requests failed one after the other, the last of them so: "
            self._give_up(replace(sample.failure, message=said + sample.failure.message))
        if isinstance(error, (EngineUnavailable, EngineProtocolError, EngineRejected)):
            await self._reached.renew()

    def _give_up(self, failure: Failure) -> NoReturn:
        self.stopped = self.stopped or failure
        raise GivenUp(failure)
