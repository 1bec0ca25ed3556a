"""Whoever stops listening stops the engine, at every stage and within a second."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing

import pytest

from novasystem.engines.events import Event, TextDelta
from novasystem.engines.protocol import Engine
from tests.engines.asking import Wire, asked, collect, text
from tests.servers.answers import Sleep, Stall, Step, head
from tests.servers.scripted import ScriptedServer, Seen

WITHIN_NS = 1_000_000_000

Stage = Callable[[Wire], list[Step]]

SILENT: dict[str, Stage] = {
    "before the head": lambda wire: [Stall()],
    "before the first byte": lambda wire: [head(), Stall()],
    "before the first token": lambda wire: [*wire.sent(wire.empty)[:-1], Stall()],
    "between tokens": lambda wire: [*wire.sent(wire.token("x"))[:-1], Stall()],
    "among tokens": lambda wire: wire.answer(["x"] * 1000, pause_s=0.01),
    "behind the finish": lambda wire: [*wire.sent(wire.ending)[:-1], Stall()],
}


def generation(wire: Wire, server: ScriptedServer) -> Seen | None:
    """The request for an answer, once the client has left it."""
    return next((seen for seen in wire.requests(server) if seen.client_left_at_ns), None)


async def left_after_ns(wire: Wire, server: ScriptedServer, since_ns: int) -> int:
    seen = await server.until(lambda s: generation(wire, s))
    assert seen.client_left_at_ns is not None
    assert not seen.answered
    return seen.client_left_at_ns - since_ns


@pytest.mark.parametrize("stage", SILENT)
async def test_a_cancelled_task_closes_the_connection(
    wire: Wire, scripted: ScriptedServer, stage: str
) -> None:
    got: list[Event] = []

    async def listen(engine: Engine) -> None:
        async with aclosing(engine.generate(asked())) as events:
            async for event in events:
                got.append(event)

    async with wire.playing(scripted, SILENT[stage](wire)) as engine:
        listening = asyncio.create_task(listen(engine))
        await scripted.until(wire.requests)
        await asyncio.sleep(0.15)
        cancelled_ns = time.perf_counter_ns()
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        assert await left_after_ns(wire, scripted, cancelled_ns) < WITHIN_NS
    assert ("token" not in stage) or ("before" in stage) or text(got)


@pytest.mark.parametrize("after", ["sent", "token"])
async def test_a_closed_iterator_closes_the_connection(
    wire: Wire, scripted: ScriptedServer, after: str
) -> None:
    async with wire.playing(scripted, wire.answer(["x"] * 1000, pause_s=0.01)) as engine:
        events = engine.generate(asked())
        async for event in events:
            if after == "sent" or isinstance(event, TextDelta):
                break
        closed_ns = time.perf_counter_ns()
        await events.aclose()
        # It is closed now, and not when the garbage collector finds it.
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert await left_after_ns(wire, scripted, closed_ns) < WITHIN_NS


async def test_an_error_of_the_listener_closes_the_connection(
    wire: Wire, scripted: ScriptedServer
) -> None:
    async def listen(engine: Engine) -> None:
        async with aclosing(engine.generate(asked())) as events:
            async for _ in events:
                raise ZeroDivisionError

    async with wire.playing(scripted, wire.answer(["x"] * 1000, pause_s=0.01)) as engine:
        with pytest.raises(ZeroDivisionError):
            await listen(engine)
        assert await left_after_ns(wire, scripted, time.perf_counter_ns()) < WITHIN_NS


async def test_an_iterator_that_was_never_begun_asks_nothing(
    wire: Wire, scripted: ScriptedServer
) -> None:
    async with wire.playing(scripted, wire.answer(["x"])) as engine:
        await engine.generate(asked()).aclose()
    assert wire.requests(scripted) == []


async def test_cancelling_one_answer_leaves_the_others_alone(
    wire: Wire, scripted: ScriptedServer
) -> None:
    async with wire.playing(scripted, wire.answer(["x"] * 20, pause_s=0.03)) as engine:
        tasks = [asyncio.create_task(collect(engine)) for _ in range(4)]
        await scripted.until(lambda s: len(wire.requests(s)) == 4)
        await asyncio.sleep(0.1)
        tasks[0].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert [text(answer) for answer in done[1:] if isinstance(answer, list)] == ["x" * 20] * 3


async def test_a_hundred_that_leave_leave_nothing_behind(
    wire: Wire, scripted: ScriptedServer
) -> None:
    """Connections and tasks are counted when ``playing`` ends."""
    endless: list[Step] = [*wire.sent(wire.token("x"))[:-1], Sleep(0.01), Stall()]
    async with wire.playing(scripted, endless) as engine:
        tasks = [asyncio.create_task(collect(engine)) for _ in range(100)]
        await scripted.until(lambda s: len(wire.requests(s)) == 100)
        cancelled_ns = time.perf_counter_ns()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await scripted.until(lambda s: s.open_connections == 0)
    left = [seen.client_left_at_ns or 0 for seen in wire.requests(scripted)]
    assert all(0 < at - cancelled_ns < WITHIN_NS for at in left)
