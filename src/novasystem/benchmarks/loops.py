"""The two ways of making load: a closed loop waits for answers, an open one keeps a schedule."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from novasystem.benchmarks.pacing import Open, pace

__all__ = ["closed_loop", "open_loop"]

TOGETHER = 8
"""How many requests that are overdue leave before answers are read again."""


async def closed_loop(
    numbers: Iterable[int], concurrency: int, send: Callable[[int], Awaitable[None]]
) -> None:
    """``send`` each number, so many at once; the first error ends it all, and is raised."""
    coming = iter(numbers)

    if concurrency == 1:
        for number in coming:
            await send(number)
        return
    # Answers that began together end together. One request leaves each turn of the loop, so that
    # what comes meanwhile is read in between, and not only after the last of them was written.
    one_a_turn = asyncio.Lock()

    async def work() -> None:
        for number in coming:
            async with one_a_turn:
                await asyncio.sleep(0)
            await send(number)

    workers = [asyncio.create_task(work()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    except BaseException:
        await _give_up(workers)
        raise


async def open_loop(
    numbers: Sequence[int],
    schedule: Open,
    send: Callable[[int, int], Awaitable[None]],
    *,
    first: int,
    begin_ns: int | None = None,
) -> None:
    """``send(number, due_ns)`` on schedule, whatever becomes of what was sent; then wait for all.

    ``due_ns`` is of ``perf_counter_ns``, and so is ``begin_ns``, when request ``first`` is due
    (``None``: now): what is left of a schedule begins with its first request and keeps its gaps.
    None is left out: where the client is late it sends what is due at once, and each knows when it
    was due. The first error ends it all, and is raised.
    """
    tasks: set[asyncio.Task[None]] = set()
    failed: list[BaseException] = []

    async def run(number: int, due_ns: int) -> None:
        await send(number, due_ns)

    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            failed.append(error)

    first_s = schedule.due_s(first)
    if begin_ns is None:
        begin_ns = time.perf_counter_ns()
    overdue = 0
    try:
        for number in numbers:
            if failed:
                break
            elapsed_s = (time.perf_counter_ns() - begin_ns) / 1e9 + first_s
            # Timers are set to whole milliseconds: rounded up, a request is never early.
            wait_s = math.ceil(pace(schedule, elapsed_s, number).wait_s * 1e3) / 1e3
            overdue = 0 if wait_s else overdue + 1
            if wait_s or overdue % TOGETHER == 0:
                await asyncio.sleep(wait_s)
            due_ns = begin_ns + int((schedule.due_s(number) - first_s) * 1e9)
            task = asyncio.create_task(run(number, due_ns))
            tasks.add(task)
            task.add_done_callback(ended)
        while tasks and not failed:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if failed:
            raise failed[0]
    except BaseException:
        await _give_up(tasks)
        raise


async def _give_up(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them, and wait until each has written down what it had."""
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
