"""One model's part of a benchmark: its phases, each with its repetitions.

The phases come one after the other, each with all its repetitions. What warms up is asked once,
before the first phase that is not ``cold``. A conversation ends at the first of its turns that
fails, as there is no answer that the next one could be asked with.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from novasystem.benchmarks.asking import Asking, GivenUp, Shared
from novasystem.benchmarks.calibrate import counter, made_texts
from novasystem.benchmarks.collect import failure_of
from novasystem.benchmarks.pacing import Closed, pacer
from novasystem.benchmarks.plan import Conversation, Phase, Sweep
from novasystem.benchmarks.resuming import CANCELLED
from novasystem.benchmarks.sample_log import ModelState, SweepStep
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.shares import Share, carry_out, split
from novasystem.benchmarks.sweep import judge, next_rate
from novasystem.benchmarks.targets import Reached
from novasystem.benchmarks.workloads import Ask, Words, lengths, request, size
from novasystem.engines.requests import Message
from novasystem.errors import InvalidRequest

__all__ = ["ModelLoad"]

_ALONE = 3
_TOLD_NS = 50_000_000
"""How long other processes have to hear of a schedule before it begins."""
_NOTHING = Ask(item=0, turn=0, messages=(Message("user", ""),))


class ModelLoad:
    """``run`` it once; ``stop`` it from outside, at any time."""

    def __init__(self, shared: Shared, reached: Reached) -> None:
        self._shared = shared
        self._plan = shared.plan
        self._reached = reached
        self._asking = Asking(shared, reached)
        self._task: asyncio.Task[Any] | None = None
        self._words: Words | None = None
        self._warm = False

    @property
    def in_flight(self) -> int:
        return self._asking.in_flight

    def stop(self, why: Failure) -> None:
        """Give up what is under way; its samples say why."""
        if self._asking.stopped is None:
            self._asking.stopped = why
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Everything that goes wrong ends here, in the model's state."""
        if self._asking.stopped is not None:
            return
        self._task = asyncio.current_task()
        limit_s = self._plan.limits.model_s
        limit = asyncio.get_running_loop().call_later(limit_s, self.stop, _out_of_time(limit_s))
        self._say("started")
        try:
            await self._prepare()
            for phase in self._plan.phases:
                self._say("phase", phase=phase)
                await self._phase(phase)
        except asyncio.CancelledError:
            why = self._asking.stopped
            self._say("failed", failure=why or Failure(CANCELLED, "The benchmark was cancelled."))
            if why is None:
                raise
        except GivenUp as given_up:
            self._say("failed", failure=given_up.failure)
        except Exception as error:
            self._say("failed", failure=failure_of(error))
        else:
            self._say("done")
        finally:
            limit.cancel()
            self._task = None

    async def _prepare(self) -> None:
        """Look what the engine can do, and make prompts of the lengths that are wanted."""
        wanted = lengths(self._plan.workload)
        if any(depth for depth, _ in wanted) and self._plan.load.kind not in {"one", "concurrent"}:
            raise InvalidRequest(
                "A depth cannot be measured with a schedule: what lies there is asked before.",
                hint="Use the load shape 'one' or 'concurrent', or no depth.",
            )
        if self._plan.workload.kind == "trace" and "cold" in self._plan.phases:
            raise InvalidRequest(
                "A trace cannot be replayed cold: loading the model takes longer than its gaps.",
                hint="Use the phase 'warm' or 'cached'.",
            )
        engine, name = self._reached.engine, self._reached.name
        known = await engine.capabilities(name)
        texts = None
        if wanted:
            count = counter(engine, request(self._plan, name, _NOTHING))
            texts = await made_texts(count, wanted)
        done = self._shared.done
        own = done.seed(self._shared.benchmark_id)
        self._words = Words(self._plan, own, known.options, texts)
        if self._shared.crew is not None:
            plain = None if texts is None else texts.plain()
            await self._shared.crew.prepare(self._reached.model, plain)

    async def _phase(self, phase: Phase) -> None:
        if phase != "cold":
            await self._warm_up(phase)
        until, enough = self._plan.until, self._shared.enough
        most = self._plan.repetitions if until is None else until.max_repetitions
        repetitions: list[list[Sample]] = []
        for block in range(most):
            earlier = self._shared.done.samples.get((self._reached.model, phase, block), [])
            samples = await self._block(phase, block)
            if enough is not None:
                repetitions.append([*earlier, *samples])
                if enough(repetitions):
                    return

    async def _warm_up(self, phase: Phase) -> None:
        if self._warm:
            return
        self._warm = True
        for number in range(self._plan.warm_up):
            # A repetition that there is not, so that its prompts are no other's.
            ask = self._ask(phase, -1 - number, 0)
            await self._asking.one(phase, 0, ask, counted=False)

    async def _block(self, phase: Phase, block: int) -> list[Sample]:
        if isinstance(self._plan.workload, Conversation):
            return await self._conversation(phase, block)
        if isinstance(self._plan.load, Sweep):
            return await self._sweep(self._plan.load, phase, block)
        own = size(self._plan.workload)
        schedule = pacer(self._plan.load, self._plan.workload, own)
        left = self._left(phase, block, schedule.requests, own)
        if not left:
            return []
        if isinstance(schedule, Closed):
            if schedule.concurrency > 1:
                await self._prime(phase, block, left)
            return await self._closed(phase, block, left, schedule.concurrency)
        await self._prime(phase, block, left)
        return await self._open(phase, block, left)

    def _left(self, phase: Phase, block: int, requests: int, own: int) -> Sequence[int]:
        done, repetition = self._shared.done, (self._reached.model, phase, block)
        if repetition not in done.begun:
            return range(requests)
        return [n for n in range(requests) if not done.take(repetition, n % own, 0)]

    async def _prime(self, phase: Phase, block: int, left: Sequence[int]) -> None:
        """Before many requests at once: each prompt that is to lie in the cache."""
        if phase == "cached":
            own = size(self._plan.workload)
            for item in sorted({number % own for number in left}):
                await self._asking.prime(phase, block, self._ask(phase, block, item))

    async def _closed(
        self, phase: Phase, block: int, left: Sequence[int], concurrency: int
    ) -> list[Sample]:
        share = Share(self._reached.model, phase, block, left, concurrency=concurrency)
        # With several at once a cached prompt was asked before them all; a depth never is.
        return await self._shares(share, prime=concurrency == 1 or phase != "cached")

    async def _open(self, phase: Phase, block: int, left: Sequence[int]) -> list[Sample]:
        return await self._shares(Share(self._reached.model, phase, block, left, first=left[0]))

    async def _shares(self, share: Share, *, prime: bool = False) -> list[Sample]:
        """Make all of it, together with the other processes where there are any."""
        shared, asking, crew = self._shared, self._asking, self._shared.crew
        assert self._words is not None
        if crew is None:
            return await carry_out(shared, asking, self._words, share, prime=prime)
        if share.concurrency is None:
            share = replace(share, begin_ns=time.perf_counter_ns() + _TOLD_NS)
        # Numbers in the order of the schedule, whoever makes the requests.
        begin = next(shared.numbers)
        more = len(share.numbers) - 1
        next(islice(shared.numbers, more, more), None)
        own, *others = split(share, crew.processes, begin)
        made = carry_out(shared, asking, self._words, own)
        return await crew.together(asking, others, made, keep=shared.keeps_samples)

    async def _conversation(self, phase: Phase, block: int) -> list[Sample]:
        repetition = (self._reached.model, phase, block)
        said = self._shared.done.said.get(repetition, [])
        made = sum(n for (one, _, _), n in self._shared.done.counts.items() if one == repetition)
        samples: list[Sample] = []
        if made > len(said):
            # It had ended with a turn that failed.
            return samples
        for turn in range(len(said), size(self._plan.workload)):
            assert self._words is not None
            ask = self._words.ask(phase, block, turn, said)
            sample = await self._asking.one(phase, block, ask, prime=turn == 0)
            self._keep(samples, sample)
            if sample.failure is not None:
                break
            said.append(sample.text)
        return samples

    async def _sweep(self, load: Sweep, phase: Phase, block: int) -> list[Sample]:
        steps = list(self._shared.done.steps.get((self._reached.model, phase, block), []))
        await self._prime(phase, block, range(size(self._plan.workload)))
        alone_per_s = steps[0].rate_per_s if steps else await self._alone(load, phase, block)
        every: list[Sample] = []
        number = sum(step.requests for step in steps)
        while (rate_per_s := next_rate(load, alone_per_s, steps)) is not None:
            requests = max(3, round(rate_per_s * load.step_s))
            share = Share(
                self._reached.model,
                phase,
                block,
                range(requests),
                rate_per_s=rate_per_s,
                requests=requests,
                numbered_from=number,
            )
            samples = await self._shares(share)
            number += requests
            step = judge(rate_per_s, samples, self._plan.objectives)
            steps.append(step)
            model = self._reached.model
            self._shared.write(SweepStep(model, phase, block, self._shared.now_ns(), step))
            every += samples if self._shared.enough is not None else []
        return every

    async def _alone(self, load: Sweep, phase: Phase, block: int) -> float:
        """Requests a second, one after the other, uncounted."""
        if load.rates_per_s:
            return load.rates_per_s[0]
        began_ns = self._shared.now_ns()
        for number in range(_ALONE):
            ask = self._ask(phase, -1 - block, number)
            await self._asking.one(phase, block, ask, counted=False)
        return _ALONE * 1e9 / (self._shared.now_ns() - began_ns)

    def _ask(self, phase: Phase, block: int, number: int) -> Ask:
        assert self._words is not None
        return self._words.ask(phase, block, number)

    def _keep(self, samples: list[Sample], sample: Sample) -> None:
        """In memory only where somebody looks at them; all of them are in the log."""
        if self._shared.keeps_samples:
            samples.append(sample)

    def _say(
        self, state: Any, *, phase: Phase | None = None, failure: Failure | None = None
    ) -> None:
        self._shared.write(
            ModelState(self._reached.model, state, self._shared.now_ns(), phase, failure)
        )


def _out_of_time(limit_s: float) -> Failure:
    return Failure(
        "model_timeout",
        f"The model took longer than its limit of {limit_s:g} s.",
        "Raise model_s in the plan's limits, or ask for less.",
    )
