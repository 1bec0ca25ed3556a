"""How many requests an engine works on at once, and how many may wait."""

import asyncio
from collections import deque

from novasystem.errors import Overloaded

__all__ = ["Gate"]


class Gate:
    """First come, first served; past ``max_queued`` waiting, ``Overloaded`` at once.

    ``asyncio.Semaphore`` does the same without a bound on its queue, which is the point here.
    """

    def __init__(self, engine: str, max_concurrent: int, max_queued: int) -> None:
        self.active = 0
        self._engine = engine
        self._max_concurrent = max_concurrent
        self._max_queued = max_queued
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def queued(self) -> int:
        return len(self._queue)

    async def enter(self, wait_s: float) -> None:
        """Wait for a place, at most ``wait_s``; whoever has one gives it back by :meth:`leave`."""
        if self.active < self._max_concurrent:
            self.active += 1
        else:
            await self._wait(wait_s)

    async def _wait(self, wait_s: float) -> None:
        if len(self._queue) >= self._max_queued:
            raise Overloaded(
                f"Engine '{self._engine}' is busy: {self.active} requests run and "
                f"{len(self._queue)} wait.",
                hint="Try again shortly, or raise max_concurrent or max_queued of this engine.",
                retry_after_s=2,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # The turn came at the same moment: it goes to the next in line.
                self.leave()
            elif turn in self._queue:
                self._queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise Overloaded(
                    f"Engine '{self._engine}' had no place for this request within {wait_s:g} s.",
                    hint="Try again shortly, or raise max_concurrent of this engine.",
                    retry_after_s=5,
                ) from error
            raise

    def leave(self) -> None:
        """Hand the place on, so that ``active`` never falls while somebody waits."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.active -= 1
