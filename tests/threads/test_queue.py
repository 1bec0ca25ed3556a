"""The line before a busy thread: in order, short, and never stuck."""

import asyncio
import time

import pytest

from novasystem.errors import Overloaded, ThreadBusy
from novasystem.threads.queue import ThreadQueue

NAME = ("local", "t")


class Busy:
    """A thread that one turn at a time can hold."""

    def __init__(self, queue: ThreadQueue) -> None:
        self.queue = queue
        self.holder: str | None = None
        self.order: list[str] = []

    def turn(self, who: str) -> "asyncio.Task[str]":
        async def start() -> str:
            await asyncio.sleep(0)
            if self.holder is not None:
                raise ThreadBusy("t", self.holder)
            self.holder = who
            self.order.append(who)
            return who

        return asyncio.create_task(self.queue.take_turn(NAME, start))

    def free(self) -> None:
        self.holder = None
        self.queue.freed(1)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_turns_come_in_their_order() -> None:
    busy = Busy(ThreadQueue())
    turns = []
    for who in "abcde":
        turns.append(busy.turn(who))
        await settle()
    for done in range(1, 6):
        assert "".join(busy.order) == "abcde"[:done]
        busy.free()
        await settle()
    assert await asyncio.gather(*turns) == list("abcde")
    assert busy.queue._waiting == {}


async def test_one_that_comes_when_others_wait_does_not_overtake_them() -> None:
    busy = Busy(ThreadQueue())
    busy.turn("a")
    await settle()
    waiting = busy.turn("b")
    await settle()
    busy.holder = None
    late = busy.turn("c")
    await settle()
    busy.free()
    await settle()
    assert busy.order == ["a", "b"]
    busy.free()
    await asyncio.gather(waiting, late)
    assert busy.order == ["a", "b", "c"]


async def test_too_many_are_refused_at_once() -> None:
    busy = Busy(ThreadQueue(max_waiting=2))
    for who in "abc":
        busy.turn(who)
        await settle()
    with pytest.raises(Overloaded, match="2 turns wait") as caught:
        await busy.turn("d")
    assert caught.value.retry_after_s == 2
    for _ in range(3):
        busy.free()
        await settle()
    assert busy.order == ["a", "b", "c"]


async def test_nobody_waits_for_ever() -> None:
    busy = Busy(ThreadQueue(wait_s=0.3))
    busy.turn("a")
    await settle()
    begun = time.monotonic()
    with pytest.raises(Overloaded, match=r"busy for 0\.3 s"):
        await busy.turn("b")
    assert time.monotonic() - begun >= 0.3
    assert busy.queue._waiting == {}


async def test_a_start_that_is_under_way_is_not_broken_off_by_the_time_limit() -> None:
    """It may have stored the turn: whoever is told that it was refused says it again."""
    queue = ThreadQueue(wait_s=0.2)
    tries = 0

    async def start() -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ThreadBusy("t", "run")
        await asyncio.sleep(0.5)
        return "stored"

    assert await queue.take_turn(NAME, start) == "stored"


async def test_one_that_leaves_the_line_lets_the_next_one_forward() -> None:
    busy = Busy(ThreadQueue())
    turns = [busy.turn(who) for who in "abc"]
    await settle()
    turns[1].cancel()
    await settle()
    busy.free()
    assert await turns[2] == "c"
    assert turns[1].cancelled()
    assert busy.queue._waiting == {}


async def test_a_failure_of_the_first_does_not_stop_the_line() -> None:
    queue = ThreadQueue()
    free = False

    async def fails() -> str:
        if not free:
            raise ThreadBusy("t", "run")
        raise ValueError("no")

    async def fine() -> str:
        if not free:
            raise ThreadBusy("t", "run")
        return "fine"

    first = asyncio.create_task(queue.take_turn(NAME, fails))
    await settle()
    second = asyncio.create_task(queue.take_turn(NAME, fine))
    await settle()
    free = True
    queue.freed(1)
    with pytest.raises(ValueError, match="no"):
        await first
    assert await second == "fine"
