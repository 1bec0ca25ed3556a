"""Where turns wait that come to a thread which a run holds: in order, and not many of them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from novasystem.errors import Overloaded, ThreadBusy

__all__ = ["ThreadQueue"]

T = TypeVar("T")
Name = tuple[str, str]
"""Owner and thread id."""

_LOOK_S = 5.0


class ThreadQueue:
    """``max_waiting`` turns a thread, each for at most ``wait_s``."""

    def __init__(self, max_waiting: int = 8, wait_s: float = 60.0) -> None:
        self._max_waiting = max_waiting
        self._wait_s = wait_s
        self._waiting: dict[Name, deque[asyncio.Event]] = {}

    def freed(self, _thread_key: int) -> None:
        """Some run has let go of its thread: whoever is first in a line looks whether it is his."""
        for line in self._waiting.values():
            line[0].set()

    async def take_turn(self, name: Name, start: Callable[[], Awaitable[T]]) -> T:
        """What ``start`` returns, called again whenever the thread may have become free.

        Raises ``Overloaded`` where too many wait already, or the wait is too long.
        """
        line = self._waiting.get(name)
        if line is None:
            try:
                return await start()
            except ThreadBusy:
                line = self._waiting.setdefault(name, deque())
        if len(line) >= self._max_waiting:
            raise Overloaded(
                f"{len(line)} turns wait for this conversation already.",
                hint="Wait for their answers before you say more.",
                retry_after_s=2,
            )
        mine = asyncio.Event()
        line.append(mine)
        try:
            async with asyncio.timeout(self._wait_s):
                return await self._wait(line, mine, start)
        except TimeoutError:
            raise Overloaded(
                f"This conversation was busy for {self._wait_s:g} s.",
                hint="Wait for the answer before you say more, or cancel it.",
                retry_after_s=5,
            ) from None
        finally:
            line.remove(mine)
            if line:
                line[0].set()
            elif self._waiting.get(name) is line:
                del self._waiting[name]

    async def _wait(
        self, line: deque[asyncio.Event], mine: asyncio.Event, start: Callable[[], Awaitable[T]]
    ) -> T:
        while True:
            mine.clear()
            if line[0] is mine:
                try:
                    return await start()
                except ThreadBusy:
                    pass
            try:
                # Another process may free it without a word that reaches us.
                async with asyncio.timeout(_LOOK_S):
                    await mine.wait()
            except TimeoutError:
                continue
