"""The pipes between a process that makes load and the one that started it: JSON, a line a word."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import orjson

from novasystem.errors import EngineUnavailable

__all__ = ["Link", "lines", "say"]

_LAST_S = 10.0

Word = dict[str, Any]


class Link:
    """What is asked of whoever started this process, and what it says of its own accord.

    ``words``: the descriptor that it reads; ``heard``: what it is told, and is no answer.
    """

    def __init__(self, words: int, heard: Callable[[Word], None] = lambda _: None) -> None:
        self._words = words
        self._heard = heard
        self._asked = 0
        self._answers: dict[int, asyncio.Future[Word]] = {}

    def say(self, word: Word) -> None:
        say(self._words, word)

    async def ask(self, what: str, model: str, **more: Any) -> Word:
        """``more``: what else the word says. Raises ``EngineUnavailable`` with what kept
        the other side from it."""
        self._asked += 1
        future: asyncio.Future[Word] = asyncio.get_running_loop().create_future()
        self._answers[self._asked] = future
        self.say({**more, "ask": self._asked, "do": what, "model": model})
        answer = await future
        if "error" in answer:
            said = answer["error"]
            raise EngineUnavailable(model, said["message"], hint=said["hint"])
        return answer

    def listen(
        self, heard: Iterator[bytes], loop: asyncio.AbstractEventLoop, end: Callable[[], None]
    ) -> None:
        """A thread's work: it notices the other's end also where the loop stands still."""
        with suppress(RuntimeError):
            for line in heard:
                loop.call_soon_threadsafe(self._take, orjson.loads(line))
            loop.call_soon_threadsafe(end)
        time.sleep(_LAST_S)
        os._exit(1)

    def _take(self, word: Word) -> None:
        if "answer" not in word:
            self._heard(word)
            return
        future = self._answers.pop(word["answer"], None)
        if future is not None and not future.done():
            future.set_result(word)


def lines(descriptor: int) -> Iterator[bytes]:
    """Lines of a pipe until its end; without a buffer that a thread could keep locked."""
    rest = b""
    while data := os.read(descriptor, 65536):
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def say(descriptor: int, word: Word) -> None:
    # Where nobody reads it any more, the end of standard input says so.
    with suppress(BrokenPipeError):
        os.write(descriptor, orjson.dumps(word) + b"\n")
