"""The workers of one parent: started, watched, replaced where one dies, and ended together."""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import orjson
import structlog

from novasystem.engines.keeper import ChildConfig
from novasystem.engines.supervisor import exit_text
from novasystem.errors import ConfigurationError, NovaError, StorageUnavailable
from novasystem.serving.children import Children
from novasystem.serving.words import Word, said, told
from novasystem.settings import Settings

__all__ = ["Crew"]

_BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_S = 60.0
_FIRST_TRIES = 3
# Beyond the time that open streams get: to close what is open, and to write how runs ended.
_LAST_S = 30.0
_FAILURES: dict[str, type[NovaError]] = {
    error.__name__: error for error in (ConfigurationError, StorageUnavailable)
}

_log = structlog.get_logger(__name__)


class Worker:
    """One process and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.heard: asyncio.Task[None]
        self.failure: NovaError | None = None

    def tell(self, word: Word) -> None:
        assert self.process.stdin is not None
        if self.process.returncode is None:
            self.process.stdin.write(told(word))


class Crew:
    """``sockets``: the address that all of them accept on."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        children: dict[str, ChildConfig],
    ) -> None:
        self.listening = asyncio.Event()
        self.failure: NovaError | None = None
        self._settings = settings
        self._sockets = sockets
        self._children = Children(children, self._tell_all)
        self._workers: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    @property
    def ending(self) -> bool:
        return self._ending.is_set()

    async def run(self) -> None:
        """Until :meth:`end`, or until it is plain that none can start: then ``failure`` is set."""
        if self._settings.embedded == "on":
            self._spawn(self._start_early())
        try:
            places = range(self._settings.workers)
            await asyncio.gather(*(self._keep_one() for _ in places))
        finally:
            for worker in self._workers:
                worker.process.kill()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._children.aclose()

    def end(self, *, at_once: bool = False) -> None:
        """End all in order: first the workers, each as a server does, and then llama.cpp."""
        for sock in self._sockets:
            sock.close()
        self._tell_all({"end": at_once})
        if not self._ending.is_set():
            self._ending.set()
            self._spawn(self._end_late())

    async def _start_early(self) -> None:
        """While the workers start; what keeps it from starting is told to each that asks."""
        await self._children.do("embedded", "start")

    async def _keep_one(self) -> None:
        """One worker, and after its death another one, a little later each time."""
        failures = 0
        while not self._ending.is_set():
            started_at = time.monotonic()
            ended = await self._one_life()
            if self._ending.is_set():
                return
            lived_s = time.monotonic() - started_at
            failures = 1 if lived_s > _STEADY_S else failures + 1
            failure = ended.pop("failure", None)
            if not self.listening.is_set() and (failure or failures >= _FIRST_TRIES):
                self._give_up(failure)
                return
            await _log.aerror(
                "a worker ended; another one takes its place", **ended, lived_s=round(lived_s, 1)
            )
            wait_s = _BACK_OFF_S[min(failures, len(_BACK_OFF_S)) - 1] - lived_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait_s)):
                    await self._ending.wait()

    async def _one_life(self) -> dict[str, Any]:
        """Start a worker and wait for its end; what is to be told of it."""
        try:
            worker = await self._start()
        except OSError as error:
            return {"how": f"could not be started: {error}"}
        code = await worker.process.wait()
        self._workers.discard(worker)
        await worker.heard
        ended = {"worker": worker.process.pid, "how": exit_text(code)}
        if worker.failure is None:
            return ended
        return {**ended, "error": str(worker.failure), "failure": worker.failure}

    def _give_up(self, failure: NovaError | None) -> None:
        """Not one has ever listened: this is no accident."""
        self.failure = self.failure or failure
        if self.failure is None:
            hint = "The log says why; try without --workers."
            self.failure = ConfigurationError("No worker could start.", hint=hint)
        self.end(at_once=True)

    async def _start(self) -> Worker:
        descriptors = [sock.fileno() for sock in self._sockets]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "novasystem.serving.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            # Ctrl-C is for the parent: it tells its workers when to end.
            start_new_session=True,
        )
        worker = Worker(process)
        worker.tell(
            {
                "settings": said(self._settings),
                "sockets": descriptors,
                "children": self._children.engines,
            }
        )
        for state in self._children.states():
            worker.tell(state)
        self._workers.add(worker)
        worker.heard = self._spawn(self._hear(worker))
        if self._ending.is_set():
            # It was told while this one was being started.
            worker.tell({"end": False})
        return worker

    async def _hear(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        while line := await worker.process.stdout.readline():
            word = orjson.loads(line)
            if "listening" in word:
                self.listening.set()
            elif "failed" in word:
                failed = word["failed"]
                kind = _FAILURES.get(failed["type"], ConfigurationError)
                worker.failure = kind(failed["message"], hint=failed["hint"])
            elif "ask" in word:
                self._spawn(self._do(worker, word))

    async def _do(self, worker: Worker, word: Word) -> None:
        error = await self._children.do(word["child"], word["do"])
        worker.tell({"answer": word["ask"], "error": error})

    async def _end_late(self) -> None:
        await asyncio.sleep(self._settings.shutdown_timeout_s + _LAST_S)
        for worker in self._workers:
            await _log.awarning("a worker does not end and is killed", worker=worker.process.pid)
            worker.process.kill()

    def _tell_all(self, word: Word) -> None:
        for worker in self._workers:
            worker.tell(word)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
