"""What a further process of a load does: its shares, until the first process lets it go.

See :mod:`novasystem.benchmarks.crew` for what the two say to each other.
"""

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from novasystem.benchmarks.asking import Asking, GivenUp, Shared
from novasystem.benchmarks.calibrate import MadeTexts
from novasystem.benchmarks.collect import failure_of
from novasystem.benchmarks.crew import Figures
from novasystem.benchmarks.distant import Distant
from novasystem.benchmarks.lag import LagMeter
from novasystem.benchmarks.link import Link, Word
from novasystem.benchmarks.live import LiveTexts
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.resuming import Done
from novasystem.benchmarks.sample_log import SampleLog
from novasystem.benchmarks.samples import Failure
from novasystem.benchmarks.shares import Share, carry_out
from novasystem.benchmarks.targets import Target
from novasystem.benchmarks.workloads import Words

__all__ = ["work"]

_FIGURES_NS = 1_000_000_000


async def work(given: dict[str, Any], heard: Iterator[bytes], words: int) -> None:
    """``given``: ``{plan, benchmark_id, log, origin_ns}``."""
    worker = _Worker(given, words)
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, worker.end)
    arguments = (heard, loop, worker.end)
    threading.Thread(target=worker.link.listen, args=arguments, daemon=True).start()
    await worker.run()


class _Worker:
    def __init__(self, given: dict[str, Any], words: int) -> None:
        self.link = Link(words, self._hear)
        self._log = SampleLog(Path(given["log"]), shared=True)
        self._plan = Plan.model_validate(given["plan"])
        self._id: str = given["benchmark_id"]
        self._origin_ns: int = given["origin_ns"]
        self._ended = asyncio.Event()
        self._models: dict[str, tuple[Distant, Asking, Words]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._why: dict[int, Failure | None] = {}
        self._doing: dict[int, Asking] = {}
        self._began_cpu_s: float | None = None
        self._due_ns = 0

    def end(self) -> None:
        self._ended.set()

    async def run(self) -> None:
        with LagMeter(self._tick) as self._lag:
            self._shared = Shared(
                plan=self._plan,
                benchmark_id=self._id,
                origin_ns=self._origin_ns,
                write=self._log.append,
                lag=self._lag,
                live=LiveTexts(self._log.append),
                # Its share of a block says which numbers its requests have.
                numbers=itertools.count(),
                done=Done(),
                enough=None,
            )
            self.link.say({"ready": True})
            await self._ended.wait()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._say_figures()
        for distant, _, _ in self._models.values():
            await distant.aclose()
        self._log.close()

    def _hear(self, word: Word) -> None:
        if "stop" in word:
            number = word["stop"]
            asking = self._doing.get(number)
            if asking is not None and word["why"] is not None:
                asking.stopped = asking.stopped or Failure(**word["why"])
            if number in self._tasks:
                self._tasks[number].cancel()
            return
        number = word["do"]
        task = self._tasks[number] = asyncio.create_task(self._do(number, word))
        task.add_done_callback(lambda task: self._done(number, task))

    async def _do(self, number: int, word: Word) -> None:
        if "prepare" in word:
            await self._prepare(**word["prepare"])
        else:
            await self._make(number, word)

    def _done(self, number: int, task: asyncio.Task[None]) -> None:
        """Said here, and not in what was to be done: that may be stopped before it has begun."""
        self._tasks.pop(number, None)
        self._doing.pop(number, None)
        failed: Failure | None = None
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, Exception):
                raise error
            failed = error.failure if isinstance(error, GivenUp) else failure_of(error)
        self.link.say({"done": number, "failed": None if failed is None else asdict(failed)})

    async def _prepare(self, model: str, target: Word, texts: list[Any] | None) -> None:
        distant = Distant(Target.of(target), self.link)
        known = await distant.engine.capabilities(distant.name)
        made = None if texts is None else MadeTexts.of(texts)
        words = Words(self._plan, self._id, known.options, made)
        self._models[model] = distant, Asking(self._shared, distant), words

    async def _make(self, number: int, word: Word) -> None:
        share = Share.of(word["share"])
        distant, asking, words = self._models[share.model]
        if self._began_cpu_s is None:
            self._began_cpu_s = time.process_time()
        self._doing[number] = asking
        asking.succeeded = asking.succeeded or word["succeeded"]
        await distant.moved(Target.of(word["target"]))
        await carry_out(self._shared, asking, words, share)

    def _tick(self, now_ns: int) -> None:
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + _FIGURES_NS
            self._say_figures()

    def _say_figures(self) -> None:
        cpu_s = time.process_time()
        began_s = cpu_s if self._began_cpu_s is None else self._began_cpu_s
        in_flight = sum(asking.in_flight for _, asking, _ in self._models.values())
        said = Figures(cpu_s, cpu_s - began_s, self._lag.take(), in_flight)
        self.link.say({"figures": asdict(said)})
