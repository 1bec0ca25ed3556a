"""When pieces of an answer came is told by the socket, and not by who reads them late."""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence

import pytest

from novasystem.engines.arriving import TimedBody
from novasystem.engines.connect import connect
from novasystem.engines.events import Arrival, TextDelta
from novasystem.engines.protocol import Address, Engine
from novasystem.engines.requests import GenerateRequest, Message, TimeLimits
from novasystem.errors import EngineError, EngineProtocolError, EngineTimeout
from tests.servers.answers import (
    Close,
    Send,
    Stall,
    Step,
    chunked,
    head,
    openai_chunk,
    openai_stream,
    resliced,
)
from tests.servers.scripted import ScriptedServer

CHAT = "/v1/chat/completions"
ASKED = GenerateRequest(model="m", messages=(Message("user", "Hi"),))


def engine(server: ScriptedServer, *, exact: bool = True) -> Engine:
    return connect("far", Address("openai", server.url, flavour="openai"), exact=exact)


async def texts(
    server: ScriptedServer,
    *answers: Sequence[Step],
    busy_s: float = 0.0,
    exact: bool = True,
    asked: GenerateRequest = ASKED,
) -> list[list[tuple[str, Arrival]]]:
    """Of each answer, what came when; ``busy_s``: the loop stands still after the first piece."""
    server.on("POST", CHAT, *answers)
    found: list[list[tuple[str, Arrival]]] = []
    far = engine(server, exact=exact)
    await far.capabilities("m")
    try:
        for _ in answers:
            one: list[tuple[str, Arrival]] = []
            found.append(one)
            async for event in far.generate(asked):
                if isinstance(event, TextDelta):
                    one.append((event.text, event.arrival))
                    if busy_s and len(one) == 1:
                        # As long as other tasks want their turn; what comes is taken in meanwhile.
                        await asyncio.sleep(busy_s)
    finally:
        await far.aclose()
    return found


async def test_pieces_that_wait_for_their_reader_keep_their_times(scripted: ScriptedServer) -> None:
    answer = openai_stream(["a", "b", "c", "d"], pause_s=0.1)
    [came] = await texts(scripted, answer, busy_s=0.5)
    assert [text for text, _ in came] == ["a", "b", "c", "d"]
    gaps = [
        (after.at_ns - before.at_ns) / 1e9 for (_, before), (_, after) in itertools.pairwise(came)
    ]
    assert all(0.05 < gap < 0.3 for gap in gaps), gaps
    assert len({arrival.read for _, arrival in came}) == 4


async def test_otherwise_they_have_come_when_they_were_read(scripted: ScriptedServer) -> None:
    answer = openai_stream(["a", "b", "c"], pause_s=0.05)
    [came] = await texts(scripted, answer, busy_s=0.4, exact=False)
    assert came[1][1].at_ns == came[2][1].at_ns


async def test_what_one_read_brought_has_one_time(scripted: ScriptedServer) -> None:
    events = b"".join(b"data: " + chunk_of(text) + b"\n\n" for text in "abc")
    end = openai_stream([], usage=None)[1:]
    [came] = await texts(scripted, [head(content_type="text/event-stream"), chunked(events), *end])
    assert [text for text, _ in came] == ["a", "b", "c"]
    assert len({(arrival.at_ns, arrival.read) for _, arrival in came}) == 1


def chunk_of(text: str) -> bytes:
    return json.dumps(openai_chunk({"content": text})).encode()


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_cut_anywhere_it_is_the_same_answer(scripted: ScriptedServer, size: int) -> None:
    whole = openai_stream(["Grüße", " an", " alle"])
    cut = resliced(openai_stream(["Grüße", " an", " alle"]), size)
    before_ns = time.perf_counter_ns()
    first, second, third = await texts(scripted, whole, cut, whole, busy_s=0.05)
    for came in (first, second, third):
        assert "".join(text for text, _ in came) == "Grüße an alle"
        stamps = [arrival.at_ns for _, arrival in came]
        assert stamps == sorted(stamps)
        assert before_ns < stamps[0]
        assert stamps[-1] < time.perf_counter_ns()


async def test_faults_are_the_same(scripted: ScriptedServer) -> None:
    half = openai_stream(["a", "b"], finish=None, done=False)[:-1]
    with pytest.raises(EngineProtocolError):
        await texts(scripted, [*half, Close()], busy_s=0.1)
    limits = TimeLimits(connect_s=1, first_token_s=5, between_tokens_s=0.2, total_s=9)
    slow = GenerateRequest(model="m", messages=ASKED.messages, limits=limits)
    with pytest.raises(EngineTimeout):
        await texts(scripted, [*half, Stall()], asked=slow)
    with pytest.raises(EngineError):
        await texts(scripted, [Send(b"nonsense\r\n\r\n"), Close()])
    # An answer that came before all of it was read leaves its connection to the next one.
    quick = openai_stream(["a", "b"])
    first, second = await texts(scripted, quick, quick, busy_s=0.2)
    assert [text for text, _ in first] == [text for text, _ in second] == ["a", "b"]


class Preempted:
    """What aiohttp writes to; the processor is away for a while once the bytes have left."""

    async def write(self, data: bytes) -> None:
        time.sleep(0.05)  # noqa: ASYNC251


async def test_a_request_has_left_when_it_was_handed_over() -> None:
    for size, late_s in ((100, 0.0), (1_000_000, 0.05)):
        body = TimedBody(b"x" * size)
        before_ns = time.perf_counter_ns()
        await body.write_with_length(Preempted(), None)
        assert late_s <= (body.sent_at_ns - before_ns) / 1e9 < late_s + 0.04
