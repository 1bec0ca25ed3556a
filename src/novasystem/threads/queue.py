"""Where turns wait that come to a thread which a run holds: in order, and not many of them."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from novasystem.errors import Overloaded, ThreadBusy

__all__ = ["ThreadQueue"]

T = TypeVar("T")
Name = tuple[str, str]
"""Owner and thread id."""

_LOOK_S = 5.0


@dataclass(slots=True, eq=False)
class _Turn:
    """``waits``: whether the thread was busy, or others before it in the line, when it came."""

    waits: bool
    word: asyncio.Event = field(default_factory=asyncio.Event)


class ThreadQueue:
    """``max_waiting`` turns a thread, each for at most ``wait_s``."""

    def __init__(self, max_waiting: int = 8, wait_s: float = 60.0) -> None:
        self._max_waiting = max_waiting
        self._wait_s = wait_s
        self._waiting: dict[Name, deque[_Turn]] = {}

    def freed(self, _thread_key: int) -> None:
        """Some run has let go of its thread: whoever is first in a line looks whether it is his."""
        for line in self._waiting.values():
            line[0].word.set()

    async def take_turn(self, name: Name, start: Callable[[], Awaitable[T]]) -> T:
        """What ``start`` returns, called again whenever the thread may have become free.

        Raises ``Overloaded`` where too many wait already, or the wait is too long.
        """
        line = self._waiting.setdefault(name, deque())
        # Who comes while the first one still tries must not overtake him.
        mine = _Turn(waits=bool(line))
        if mine.waits and sum(turn.waits for turn in line) >= self._max_waiting:
            raise self._full()
        line.append(mine)
        try:
            return await self._wait(line, mine, start)
        finally:
            line.remove(mine)
            if line:
                line[0].word.set()
            elif self._waiting.get(name) is line:
                del self._waiting[name]

    async def _wait(
        self, line: "deque[_Turn]", mine: "_Turn", start: Callable[[], Awaitable[T]]
    ) -> T:
        until = time.monotonic() + self._wait_s
        while True:
            mine.word.clear()
            if line[0] is mine:
                try:
                    return await start()
                except ThreadBusy:
                    if not self._max_waiting:
                        raise self._full() from None
                    mine.waits = True
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise Overloaded(
                    f"This conversation was busy for {self._wait_s:g} s.",
                    hint="Wait for the answer before you say more, or cancel it.",
                    retry_after_s=5,
                )
            try:
                # Another process may free it without a word that reaches us.
                async with asyncio.timeout(min(_LOOK_S, left_s)):
                    await mine.word.wait()
            except TimeoutError:
                continue

    def _full(self) -> Overloaded:
        return Overloaded(
            f"{self._max_waiting} turns wait for this conversation already.",
            hint="Wait for their answers before you say more.",
            retry_after_s=2,
        )
