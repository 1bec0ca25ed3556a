"""Further processes that make one load, as the first of them sees them.

They are the same program, started with pipes as the first one was. Blocks are begun, ended and
judged by the first alone; each gets its share of a block, and says when it is done: so no block
begins before all of the one before it has ended. All append to one log. When the first one dies, in
whatever way, the others' standard input ends, and they give up what they have under way; when one
of the others dies the load fails, with the reason.

Between the two, as JSON lines::

    {"worker": {…}}                                                          the first line
    {"ready": true}                                                          from it, thereupon
    {"do": 1, "prepare": {"model": "…", "target": {…}, "texts": […] | null}}     to the other
    {"do": 2, "share": {…}, "target": {…}, "succeeded": true}                    to the other
    {"stop": 2, "why": {…} | null}                                               to the other
    {"answer": 1, …}                                                             to the other
    {"done": 2, "failed": {…} | null}                                            from it
    {"ask": 1, "do": "renew", "model": "…", "target": {…}}                       from it
    {"figures": {"cpu_s": 1.5, "load_cpu_s": 1.0, "lag_ns": 12, "in_flight": 3}} from it
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from novasystem.benchmarks.asking import Asking, GivenUp
from novasystem.benchmarks.collect import failure_of
from novasystem.benchmarks.distant import Distant
from novasystem.benchmarks.resuming import LOAD_FAILED
from novasystem.benchmarks.sample_log import read_log, size_of
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.shares import Share
from novasystem.benchmarks.targets import Target

__all__ = ["Crew", "Figures"]

_START_S = 30.0
_STOP_S = 4.0
"""For a share to be given up, and again for all to end: both before the parent's patience ends."""
_LINE_BYTES = 1024 * 1024
PROGRAM = "novasystem.benchmarks.load_process"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a process said of itself last; ``lag_ns``: the most since it said so before."""

    cpu_s: float = 0.0
    load_cpu_s: float = 0.0
    lag_ns: int = 0
    in_flight: int = 0


class _Worker:
    """One other process."""

    def __init__(self, process: asyncio.subprocess.Process, crew: "Crew") -> None:
        self.process = process
        self.figures = Figures()
        self.most_lag_ns = 0
        self.ready = asyncio.Event()
        """It hears what is asked of it, or has ended."""
        self._crew = crew
        self._lag_ns = 0
        self._asked = 0
        self._doing: dict[int, asyncio.Future[None]] = {}
        self._renewing: set[asyncio.Task[None]] = set()

    def tell(self, word: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
            self.process.stdin.write(orjson.dumps(word) + b"\n")

    async def do(self, word: dict[str, Any], why: Callable[[], Failure | None]) -> None:
        """Have it done. Cancelled it is stopped there too, and waited for. Raises ``GivenUp``."""
        self._asked += 1
        number = self._asked
        future = self._doing[number] = asyncio.get_running_loop().create_future()
        if self.process.returncode is not None:
            future.set_exception(GivenUp(_ended(self.process)))
        self.tell({"do": number, **word})
        try:
            # Not cancelled with the task that waits: what is stopped still says that it is done.
            await asyncio.shield(future)
        except asyncio.CancelledError:
            reason = why()
            self.tell({"stop": number, "why": None if reason is None else asdict(reason)})
            with contextlib.suppress(GivenUp, TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await future
            raise
        finally:
            self._doing.pop(number, None)

    def taken_lag_ns(self) -> int:
        taken, self._lag_ns = self._lag_ns, 0
        return taken

    async def hear(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self._take(orjson.loads(line))
        await self.process.wait()
        self.ready.set()
        for future in self._doing.values():
            if not future.done():
                future.set_exception(GivenUp(_ended(self.process)))
        self._crew.ended(self.process)

    def _take(self, word: dict[str, Any]) -> None:
        if "figures" in word:
            self.figures = Figures(**word["figures"])
            self._lag_ns = max(self._lag_ns, self.figures.lag_ns)
            self.most_lag_ns = max(self.most_lag_ns, self.figures.lag_ns)
        elif "done" in word:
            future = self._doing.get(word["done"])
            if future is not None and not future.done():
                failed = word["failed"]
                if failed is None:
                    future.set_result(None)
                else:
                    future.set_exception(GivenUp(Failure(**failed)))
        elif "ready" in word:
            self.ready.set()
        elif "ask" in word:
            task = asyncio.create_task(self._renew(word))
            self._renewing.add(task)
            task.add_done_callback(self._renewing.discard)

    async def _renew(self, word: dict[str, Any]) -> None:
        """Only whoever started the first process knows where a child of its own is now; where the
        first process has heard of that already, it says so."""
        number, model = word["ask"], self._crew.models[word["model"]]
        try:
            if Target.of(word["target"]) == model.target:
                answer = await model.renewed()
            else:
                answer = {"target": model.target.plain(), "load_ns": None}
            self.tell({**answer, "answer": number})
        except Exception as error:
            failure = failure_of(error)
            said = {"message": failure.message, "hint": failure.hint}
            self.tell({"answer": number, "error": said})


class Crew:
    """``stop``: what ends the load, with the reason, when one of the processes has died."""

    def __init__(
        self, models: Sequence[Distant], log_path: Path, stop: Callable[[Failure], None]
    ) -> None:
        self.models = {model.model: model for model in models}
        self._log_path = log_path
        self._stop = stop
        self._workers: list[_Worker] = []
        self._hearing: list[asyncio.Task[None]] = []
        self._closing = False

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(worker.process.pid for worker in self._workers)

    @property
    def processes(self) -> int:
        """The first one too."""
        return 1 + len(self._workers)

    async def start(self, count: int, begin: dict[str, Any]) -> None:
        """Start so many, and wait until each is ready: their start is no part of the load."""
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                PROGRAM,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES,
            )
            worker = _Worker(process, self)
            worker.tell({"worker": begin})
            self._workers.append(worker)
            self._hearing.append(asyncio.create_task(worker.hear()))
        # Whoever is late is found out when something is asked of it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                for worker in self._workers:
                    await worker.ready.wait()

    async def prepare(self, model: str, texts: list[Any] | None) -> None:
        """Have each of them know the model, and the prompts that were made for it."""
        target = self.models[model].target.plain()
        word = {"prepare": {"model": model, "target": target, "texts": texts}}
        await asyncio.gather(*(worker.do(word, lambda: None) for worker in self._workers))

    async def together(
        self, asking: Asking, shares: Sequence[Share], own: Awaitable[list[Sample]], *, keep: bool
    ) -> list[Sample]:
        """``own`` here, ``shares`` there; all samples, if ``keep``. The first failure ends all."""
        before = size_of(self._log_path)
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(own)]
        for worker, share in zip(self._workers, shares, strict=True):
            if share.numbers:
                target = self.models[share.model].target.plain()
                word = {"share": share.plain(), "target": target, "succeeded": asking.succeeded}
                tasks.append(asyncio.create_task(worker.do(word, lambda: asking.stopped)))
        try:
            await asyncio.gather(*tasks)
        except BaseException as error:
            if isinstance(error, GivenUp):
                asking.stopped = asking.stopped or error.failure
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        samples: list[Sample] = tasks[0].result()
        if keep:
            samples += self._theirs(shares, before)
            samples.sort(key=lambda sample: sample.number)
        return samples

    def _theirs(self, shares: Sequence[Share], before: int) -> list[Sample]:
        """What the others have appended to the log since then."""
        numbers = {number for share in shares for number in _numbers(share)}
        records = read_log(self._log_path, skip=before)
        return [one for one in records if isinstance(one, Sample) and one.number in numbers]

    def figures(self) -> Figures:
        """Of all others together; of the load's own CPU time see :meth:`each`."""
        said = [worker.figures for worker in self._workers]
        return Figures(
            cpu_s=sum(one.cpu_s for one in said),
            lag_ns=max((worker.taken_lag_ns() for worker in self._workers), default=0),
            in_flight=sum(one.in_flight for one in said),
        )

    def each(self) -> list[tuple[float, int]]:
        """Of each its CPU time of the load, and the most that its event loop was late."""
        return [(one.figures.load_cpu_s, one.most_lag_ns) for one in self._workers]

    def ended(self, process: asyncio.subprocess.Process) -> None:
        if not self._closing:
            self._stop(_ended(process))

    async def close(self) -> None:
        """End them, and wait until each has said its last."""
        self._closing = True
        for worker in self._workers:
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        if self._hearing:
            _, late = await asyncio.wait(self._hearing, timeout=_STOP_S)
            for worker in self._workers if late else ():
                if worker.process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        worker.process.kill()
            await asyncio.gather(*self._hearing, return_exceptions=True)


def _numbers(share: Share) -> range:
    assert share.sample_number is not None
    step = share.sample_step
    return range(share.sample_number, share.sample_number + step * len(share.numbers), step)


def _ended(process: asyncio.subprocess.Process) -> Failure:
    code = process.returncode
    how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended ({code})"
    return Failure(
        LOAD_FAILED,
        f"One of the processes that make the load {how}.",
        "What had arrived is kept: resume the benchmark.",
    )
