"""The four time limits: each breaks off at its time, under its name, and for the engine's fault."""

import asyncio
import socket
import time
from contextlib import aclosing

import pytest

from novasystem.engines.events import Event, Finished, Sent, TextDelta
from novasystem.engines.requests import TimeLimits
from novasystem.errors import EngineTimeout
from tests.engines.asking import OLLAMA, OPENAI, Wire, asked, failure, text
from tests.servers.answers import Send, Sleep, Stall, Step, cut, head
from tests.servers.scripted import ScriptedServer

LATE_S = 1.5
"""How late a limit may be noticed: the machine may be busy."""


def limits(**changed: float) -> TimeLimits:
    return TimeLimits(**({"connect_s": 5, "first_token_s": 20, "between_tokens_s": 20} | changed))


def beating(wire: Wire, *chunks: object, every_s: float = 0.05) -> list[Step]:
    """These chunks, and then for 5 s only signs of life that hold no token."""
    ping = b": ping\n\n" if wire is OPENAI else b"\n"
    steps = wire.sent(*chunks, *([ping, wire.empty] * int(5 / every_s)))[:-1]
    begun = 1 + len(chunks)
    later = [part for step in steps[begun:] for part in (Sleep(every_s / 2), step)]
    return [*steps[:begun], *later, Stall()]


async def broken_off(
    wire: Wire, server: ScriptedServer, steps: list[Step], stand: TimeLimits
) -> tuple[list[Event], EngineTimeout, float]:
    """The events before the limit broke the answer off, its error, and the seconds it took."""
    async with wire.playing(server, steps) as engine:
        started = time.monotonic()
        events, error = await failure(engine, asked(stand))
        took_s = time.monotonic() - started
        # Not only the error: the engine is told to stop, at once.
        await server.until(lambda s: s.seen[-1].client_left_at_ns)
    assert isinstance(error, EngineTimeout)
    assert str(server.port) in error.message
    assert f"{error.limit}_timeout_s" in error.hint
    return events, error, took_s


@pytest.mark.parametrize("silence", ["nothing at all", "the head", "signs of life"])
async def test_the_first_token_has_a_limit_that_only_a_token_meets(
    wire: Wire, scripted: ScriptedServer, silence: str
) -> None:
    steps: dict[str, list[Step]] = {
        "nothing at all": [Stall()],
        "the head": [head(), Stall()],
        "signs of life": beating(wire),
    }
    stand = limits(first_token_s=0.4, between_tokens_s=0.1)
    _, error, took_s = await broken_off(wire, scripted, steps[silence], stand)
    assert error.limit == "first_token"
    assert 0.4 <= took_s < 0.4 + LATE_S


@pytest.mark.parametrize("signs", [False, True], ids=["silence", "signs of life"])
async def test_the_time_between_tokens_has_a_limit_that_only_a_token_meets(
    wire: Wire, scripted: ScriptedServer, signs: bool
) -> None:
    token = wire.token("x")
    steps = beating(wire, token) if signs else [*wire.sent(token)[:-1], Stall()]
    events, error, took_s = await broken_off(wire, scripted, steps, limits(between_tokens_s=0.4))
    assert error.limit == "between_tokens"
    assert text(events) == "x"
    assert 0.4 <= took_s < 0.4 + LATE_S


async def test_tokens_that_keep_coming_meet_the_limit_between_them(
    wire: Wire, scripted: ScriptedServer
) -> None:
    steps = wire.answer(["x"] * 12, pause_s=0.1)
    stand = limits(first_token_s=1, between_tokens_s=0.7)
    async with (
        wire.playing(scripted, steps) as engine,
        aclosing(engine.generate(asked(stand))) as events,
    ):
        assert text([event async for event in events]) == "x" * 12


async def test_the_whole_has_a_limit_however_well_tokens_come(
    wire: Wire, scripted: ScriptedServer
) -> None:
    steps = wire.answer(["x"] * 100, pause_s=0.05)
    events, error, took_s = await broken_off(wire, scripted, steps, limits(total_s=0.5))
    assert error.limit == "total"
    assert set(text(events)) == {"x"}
    assert 0.5 <= took_s < 0.5 + LATE_S


async def test_the_whole_has_a_limit_before_the_engine_answers(
    wire: Wire, scripted: ScriptedServer
) -> None:
    _, error, took_s = await broken_off(wire, scripted, [Stall()], limits(total_s=0.4))
    assert error.limit == "total"
    assert 0.4 <= took_s < 0.4 + LATE_S


async def test_a_slow_consumer_cannot_stretch_the_whole(
    wire: Wire, scripted: ScriptedServer
) -> None:
    """There is always something to be read, so that no read ever waits; the rest takes 40 s."""
    async with wire.playing(scripted, wire.answer(["x"] * 2000, pause_s=0.005)) as engine:
        started = time.monotonic()
        with pytest.raises(EngineTimeout, match=r"total|was not done"):
            await slowly(engine.generate(asked(limits(total_s=0.5))), 0.02)
        # What one read had brought is still given out.
        assert time.monotonic() - started < 3 + LATE_S


async def slowly(events: object, pause_s: float) -> list[Event]:
    got: list[Event] = []
    async with aclosing(events) as open_events:  # type: ignore[type-var]
        async for event in open_events:  # type: ignore[attr-defined]
            got.append(event)
            if isinstance(event, (Sent, TextDelta)):
                await asyncio.sleep(pause_s)
    return got


async def test_a_slow_consumer_is_not_the_engines_fault(
    wire: Wire, scripted: ScriptedServer
) -> None:
    """It takes 0.5 s over each token, where the engine may take 0.3 s."""
    stand = limits(first_token_s=0.3, between_tokens_s=0.3)
    async with wire.playing(scripted, wire.answer(["a", "b", "c"], pause_s=0.02)) as engine:
        got = await slowly(engine.generate(asked(stand)), 0.5)
    assert text(got) == "abc"
    assert isinstance(got[-1], Finished)


async def test_a_connection_that_is_not_accepted_has_a_limit(wire: Wire) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # The queue of a listener that accepts nothing: full after a few.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        engine = wire.make(f"http://127.0.0.1:{address[1]}")
        started = time.monotonic()
        try:
            _, error = await failure(engine, asked(limits(connect_s=0.4)))
        finally:
            await engine.aclose()
            for filler in fillers:
                filler.close()
    assert isinstance(error, EngineTimeout)
    assert error.limit == "connect"
    assert time.monotonic() - started < 2 + LATE_S


async def test_a_stall_behind_the_finish_of_ollama_delays_nothing(
    scripted: ScriptedServer,
) -> None:
    steps = [*OLLAMA.answer(["x"])[:-1], Stall()]
    async with OLLAMA.playing(scripted, steps) as engine:
        assert await finished_after(engine.generate(asked()), scripted) < 1


async def test_a_stall_behind_done_delays_nothing(scripted: ScriptedServer) -> None:
    steps = [*OPENAI.answer(["x"])[:-1], Stall()]
    async with OPENAI.playing(scripted, steps) as engine:
        assert await finished_after(engine.generate(asked()), scripted) < 1


async def finished_after(events: object, server: ScriptedServer) -> float:
    """Seconds from the request to ``Finished``; the answer must be over soon after it."""
    started = time.monotonic()
    finished_s = 0.0
    async with aclosing(events) as open_events:  # type: ignore[type-var]
        async for event in open_events:  # type: ignore[attr-defined]
            if isinstance(event, Finished):
                finished_s = time.monotonic() - started
    assert finished_s
    assert time.monotonic() - started < finished_s + 3
    await server.until(lambda s: s.seen[-1].client_left_at_ns)
    return finished_s


async def test_a_stall_between_finish_and_done_meets_the_limit(scripted: ScriptedServer) -> None:
    """The usage may still come: it is waited for, as long as for a token."""
    steps = [*OPENAI.answer(["x"])[:-2], Stall()]
    events, error, _ = await broken_off(OPENAI, scripted, steps, limits(between_tokens_s=0.3))
    assert error.limit == "between_tokens"
    assert not any(isinstance(event, Finished) for event in events)
    assert isinstance(events[0], Sent)
    assert any(isinstance(event, TextDelta) for event in events)


async def test_an_error_whose_body_stalls_is_still_told(
    wire: Wire, scripted: ScriptedServer
) -> None:
    whole: list[Step] = [head(500, length=50), Send(b'{"error":"boom"}'), Stall()]
    async with wire.playing(scripted, cut(whole, 10_000, Stall())) as engine:
        _, error = await failure(engine)
    assert "boom" in str(error)
