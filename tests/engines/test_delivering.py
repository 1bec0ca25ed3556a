"""An engine made for measuring hands its events over where their bytes come in, without a task."""

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from novasystem.engines.connect import connect
from novasystem.engines.events import Arrival, Event, Finished, TextDelta
from novasystem.engines.protocol import Address, Engine
from novasystem.engines.requests import GenerateRequest, TimeLimits
from novasystem.errors import EngineProtocolError
from tests.engines.asking import OPENAI, asked, collect, text
from tests.servers.answers import Send, Sleep, Stall, Step, chunked, head, last_chunk
from tests.servers.scripted import ScriptedServer

WITHIN_NS = 1_000_000_000


def playing(server: ScriptedServer, *answers: Sequence[Step], exact: bool = True) -> Engine:
    server.on("POST", OPENAI.path, *answers)
    return connect("far", Address("openai", server.url, flavour="openai"), exact=exact)


@pytest.mark.parametrize("exact", [True, False])
async def test_no_task_is_woken_for_a_piece(scripted: ScriptedServer, exact: bool) -> None:
    engine = playing(scripted, OPENAI.answer(["a", "b", "c"], pause_s=0.05), exact=exact)
    within: list[bool] = []

    def take(event: Event) -> None:
        if isinstance(event, TextDelta):
            within.append(asyncio.current_task() is not None)

    await engine.deliver(asked(), take)
    await engine.aclose()
    assert within == [not exact] * 3


async def test_an_engine_of_somebody_else_s_needs_no_way_of_its_own() -> None:
    class Theirs(Engine):
        async def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
            for letter in request.messages[0].content:
                yield TextDelta(letter, Arrival(0, 0, 1))

    came: list[Event] = []
    make: Any = Theirs
    await make().deliver(asked(), came.append)
    assert text(came) == "Hi"


async def test_what_is_raised_of_a_piece_ends_the_generation(scripted: ScriptedServer) -> None:
    engine = playing(scripted, OPENAI.answer(["x"] * 1000, pause_s=0.01))

    def take(event: Event) -> None:
        if isinstance(event, TextDelta):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await engine.deliver(asked(), take)
    raised_ns = time.perf_counter_ns()
    seen = await scripted.until(
        lambda s: next((one for one in s.seen if one.client_left_at_ns), None)
    )
    assert seen.client_left_at_ns is not None
    assert seen.client_left_at_ns - raised_ns < WITHIN_NS
    await engine.aclose()


async def test_broken_framing_is_told_at_once(scripted: ScriptedServer) -> None:
    token = OPENAI.sent(OPENAI.token("x"))[:-1]
    engine = playing(scripted, [*token, Sleep(0.1), Send(b"zz\r\nno length\r\n"), Stall()])
    limits = TimeLimits(between_tokens_s=20)
    got: list[Event] = []
    with pytest.raises(EngineProtocolError, match="broke off"):
        await asyncio.wait_for(engine.deliver(asked(limits), got.append), 10)
    assert text(got) == "x"
    await engine.aclose()


async def test_more_than_is_taken_apart_at_once_keeps_its_order(scripted: ScriptedServer) -> None:
    """Each byte is a chunk of HTTP's: of so many, aiohttp holds some back until others are taken,
    and then has them in the middle of that."""
    words = [f"{number} " for number in range(1500)]
    whole = OPENAI.answer(words)
    body = b"".join(s.data.partition(b"\r\n")[2][:-2] for s in whole[1:-1] if isinstance(s, Send))
    parts = b"".join(chunked(body[at : at + 1]).data for at in range(len(body)))
    answer: list[Step] = [head(), Sleep(0.05), Send(parts), last_chunk()]
    engine = playing(scripted, answer, answer)
    pulled = await collect(engine)
    pushed: list[Event] = []
    await engine.deliver(asked(), pushed.append)
    await engine.aclose()
    assert text(pushed) == text(pulled) == "".join(words)
    assert isinstance(pushed[-1], Finished)
    stamps = [event.arrival for event in pushed if isinstance(event, TextDelta)]
    assert all(a.at_ns <= b.at_ns and a.read <= b.read for a, b in pairwise(stamps))


async def test_the_connection_is_used_again(scripted: ScriptedServer) -> None:
    """Also where the answer's last bytes come behind its end."""
    late = OPENAI.answer(["a", "b"])
    late.insert(-1, Sleep(0.1))
    engine = playing(scripted, late, late, OPENAI.answer(["a", "b"]))
    for reused in (False, True, True):
        got: list[Event] = []
        await engine.deliver(asked(), got.append)
        assert text(got) == "ab"
        assert getattr(got[0], "reused", None) is reused
    await engine.aclose()


async def test_an_answer_leaves_nothing_to_the_garbage_collector(scripted: ScriptedServer) -> None:
    """Of hundreds a second that would be looked for while others' chunks wait."""

    class Taker:
        def __call__(self, event: Event) -> None:
            pass

    engine = playing(scripted, OPENAI.answer(["a", "b"], pause_s=0.02))
    taker = Taker()
    known = weakref.ref(taker)
    gc.disable()
    try:
        await engine.deliver(asked(), taker)
        await asyncio.sleep(0)
        del taker
        assert known() is None
    finally:
        gc.enable()
        await engine.aclose()
