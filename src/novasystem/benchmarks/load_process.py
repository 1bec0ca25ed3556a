"""The process that makes the load: run as ``python -m novasystem.benchmarks.load_process`` by
:mod:`novasystem.benchmarks.loading` alone.

It has an event loop, a heap and an interpreter of its own, so that neither a server's other work
nor a page being drawn makes a model look slow. What it is to do comes as the first line of standard
input, the keys of engines in it; what it sees goes into the log. It ends when told (SIGTERM), and
when standard input ends, as it does when its parent dies in whatever way: then too its requests are
cancelled at the engine and their samples kept.

Between the two, as JSON lines::

    {"plan": {…}, "benchmark_id": "…", "log": "…", "targets": [{…}], "failed": {"model": {…}}}
    {"answer": 1, "target": {…}, "load_ns": 12 | null} | {"answer": 1, "error": {…}}    to the load
    {"ask": 1, "do": "cold" | "renew", "model": "…"}                                    from it
    {"failed": {"code": "…", "message": "…", "hint": "…"}}                              from it
"""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from novasystem.benchmarks.collect import failure_of
from novasystem.benchmarks.load import Load, enough
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.resuming import done
from novasystem.benchmarks.sample_log import Header, ModelState, SampleLog, read_log
from novasystem.benchmarks.samples import Failure
from novasystem.benchmarks.targets import Target, make_cold
from novasystem.engines.protocol import Engine
from novasystem.errors import EngineUnavailable

__all__ = ["main"]

_LAST_S = 10.0
# Young objects are looked through less often: each look holds up the loop.
_GC = (50_000, 20, 50)


def main() -> int:
    # Ctrl-C in a terminal is for the parent, which tells us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heard = _lines(0)
    given = orjson.loads(next(heard, b"{}"))
    if not given:
        return 1
    # Whatever prints is led to the log of errors: standard output is the pipe to the parent.
    words = os.dup(1)
    os.dup2(2, 1)
    _raise_open_files()
    gc.freeze()
    gc.set_threshold(*_GC)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_load(given, heard, words))
    except Exception as error:
        _say(words, {"failed": asdict(failure_of(error))})
        raise
    return 0


async def _load(given: dict[str, Any], heard: Iterator[bytes], words: int) -> None:
    plan = Plan.model_validate(given["plan"])
    path = Path(given["log"])
    found = done(read_log(path), keep=plan.until is not None)
    log = SampleLog(path)
    origin_ns = time.perf_counter_ns() - found.ended_ns
    log.append(
        Header(
            plan=given["plan"],
            benchmark_id=given["benchmark_id"],
            origin_ns=origin_ns,
            begins_ns=found.ended_ns,
            wall=found.wall or datetime.now(UTC).isoformat(),
            pid=os.getpid(),
        )
    )
    for model, failure in given["failed"].items():
        log.append(ModelState(model, "failed", found.ended_ns, failure=Failure(**failure)))
    link = _Link(words)
    models = [_Distant(Target.of(target), link) for target in given["targets"]]
    load = Load(
        plan,
        given["benchmark_id"],
        models,
        log.append,
        origin_ns,
        found,
        enough(plan.until) if plan.until is not None else None,
    )
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, load.stop)
    listener = threading.Thread(target=link.listen, args=(heard, loop, load.stop), daemon=True)
    listener.start()
    try:
        await load.run()
    finally:
        for model in models:
            await model.aclose()
        log.close()


class _Link:
    """What is asked of the parent, which keeps the engines that are its children."""

    def __init__(self, words: int) -> None:
        self._words = words
        self._asked = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def ask(self, what: str, model: str) -> dict[str, Any]:
        """Raises ``EngineUnavailable`` with what kept the parent from it."""
        self._asked += 1
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._asked] = future
        _say(self._words, {"ask": self._asked, "do": what, "model": model})
        answer = await future
        if "error" in answer:
            said = answer["error"]
            raise EngineUnavailable(model, said["message"], hint=said["hint"])
        return answer

    def listen(self, heard: Iterator[bytes], loop: asyncio.AbstractEventLoop, end: Any) -> None:
        """A thread's work: it notices the parent's end also where the loop stands still."""
        with suppress(RuntimeError):
            for line in heard:
                loop.call_soon_threadsafe(self._take, orjson.loads(line))
            loop.call_soon_threadsafe(end)
        time.sleep(_LAST_S)
        os._exit(1)

    def _take(self, answer: dict[str, Any]) -> None:
        future = self._answers.pop(answer["answer"], None)
        if future is not None and not future.done():
            future.set_result(answer)


class _Distant:
    """A model at its address; see :class:`~novasystem.benchmarks.targets.Reached`."""

    def __init__(self, target: Target, link: _Link) -> None:
        self._target = target
        self._link = link
        self._engine = target.connect()
        self._former: list[Engine] = []

    @property
    def model(self) -> str:
        return self._target.model

    @property
    def name(self) -> str:
        return self._target.name

    @property
    def engine(self) -> Engine:
        return self._engine

    async def make_cold(self) -> int | None:
        if not self._target.kept:
            return await make_cold(self._engine, self.name)
        answer = await self._link.ask("cold", self.model)
        await self._moved(Target.of(answer["target"]))
        load_ns: int | None = answer["load_ns"]
        return load_ns

    async def renew(self) -> None:
        if self._target.kept:
            with suppress(EngineUnavailable):
                answer = await self._link.ask("renew", self.model)
                await self._moved(Target.of(answer["target"]))

    async def _moved(self, target: Target) -> None:
        if target.address == self._target.address:
            return
        self._target = target
        # Other requests may still be at the former one.
        self._former.append(self._engine)
        self._engine = target.connect()
        await self._engine.capabilities(self.name)

    async def aclose(self) -> None:
        for engine in (*self._former, self._engine):
            await engine.aclose()


def _lines(descriptor: int) -> Iterator[bytes]:
    """Lines of a pipe until its end; without a buffer that a thread could keep locked."""
    rest = b""
    while data := os.read(descriptor, 65536):
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def _say(descriptor: int, word: dict[str, Any]) -> None:
    # Where nobody reads it any more, the end of standard input says so.
    with suppress(BrokenPipeError):
        os.write(descriptor, orjson.dumps(word) + b"\n")


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _raise_open_files() -> None:
    """Each request under way is a connection: an open loop may have thousands."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))


if __name__ == "__main__":
    sys.exit(main())
