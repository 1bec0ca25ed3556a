"""A worker's end of the pipes to its parent."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import orjson
import structlog

from novasystem.engines.keeper import ChildAddress
from novasystem.errors import EngineUnavailable
from novasystem.serving.words import Word, told

__all__ = ["DistantKeeper", "Link"]

_LAST_S = 10.0

_log = structlog.get_logger(__name__)


class DistantKeeper:
    """The parent keeps the child; this knows what it says of it.

    ``ask(engine, what)`` returns once the parent has done ``what``, and raises what kept it.
    """

    def __init__(self, engine: str, ask: Callable[[str, str], Awaitable[None]]) -> None:
        self.engine = engine
        self.restarts = 0
        self.last_exit: str | None = None
        self._ask = ask
        self._address: ChildAddress | None = None
        self._changed = asyncio.Event()

    @property
    def running(self) -> bool:
        return self._address is not None

    @property
    def current(self) -> ChildAddress | None:
        return self._address

    async def address(self) -> ChildAddress:
        if self._address is None:
            await self._ask(self.engine, "start")
        if self._address is None:
            raise EngineUnavailable(
                self.engine, "The embedded llama.cpp ended as soon as it had started."
            )
        return self._address

    async def died(self, address: ChildAddress, within_s: float = 1.0) -> str | None:
        """The connection tells of a death before the parent does: wait for its word."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._address == address:
                    self._changed.clear()
                    await self._changed.wait()
        return None if self._address == address else self.last_exit or "ended"

    async def stop(self) -> None:
        await self._ask(self.engine, "stop")

    async def aclose(self) -> None:
        """The child goes on: it is the parent's, and other workers use it."""

    def heard(self, word: Word) -> None:
        """How the child is now."""
        address = None if word["address"] is None else ChildAddress(**word["address"])
        self.restarts = word["restarts"]
        self.last_exit = word["last_exit"]
        # The same one stays the same object: a client was made for it.
        if address != self._address:
            self._address = address
        self._changed.set()


class Link:
    """``heard``: what the parent says, line by line; ``descriptor``: where our answers go."""

    def __init__(self, heard: Iterator[bytes], descriptor: int, engines: Sequence[str]) -> None:
        self.keepers = {name: DistantKeeper(name, self._ask) for name in engines}
        self._heard = heard
        self._descriptor = descriptor
        self._asked = 0
        self._answers: dict[int, asyncio.Future[None]] = {}

    def open(self, end: Callable[[bool], None]) -> None:
        """Hear what the parent says from now on. ``end(at_once)`` is called where it wants us to
        end, or is gone."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop, end), daemon=True).start()

    def say(self, word: Word) -> None:
        # Where nobody reads it any more, the end of the other pipe says so.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._descriptor, told(word))

    def _listen(self, loop: asyncio.AbstractEventLoop, end: Callable[[bool], None]) -> None:
        """A thread's work: it notices the parent's end also where the loop stands still."""
        with contextlib.suppress(RuntimeError):
            for line in self._heard:
                loop.call_soon_threadsafe(self._take, orjson.loads(line), end)
            loop.call_soon_threadsafe(self._bereft, end)
        time.sleep(_LAST_S)
        os._exit(1)

    def _take(self, word: Word, end: Callable[[bool], None]) -> None:
        if "child" in word:
            self.keepers[word["child"]].heard(word)
        elif "answer" in word:
            answer = self._answers.pop(word["answer"], None)
            if answer is None or answer.done():
                return
            if word["error"] is None:
                answer.set_result(None)
            else:
                answer.set_exception(EngineUnavailable(**word["error"]))
        elif "end" in word:
            end(word["end"])

    def _bereft(self, end: Callable[[bool], None]) -> None:
        _log.warning("the parent process is gone; this worker ends")
        end(True)

    async def _ask(self, engine: str, what: str) -> None:
        self._asked += 1
        answer = asyncio.get_running_loop().create_future()
        self._answers[self._asked] = answer
        self.say({"ask": self._asked, "child": engine, "do": what})
        await answer
