"""The engine fails at any moment, in any shape: what comes of it is one of the typed errors."""

import itertools

import pytest

from novasystem.engines.events import Event, Finished, Sent
from novasystem.engines.requests import TimeLimits
from novasystem.errors import (
    EngineProtocolError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from tests.engines.asking import OLLAMA, OPENAI, Wire, asked, collect, failure, text
from tests.servers.answers import (
    Close,
    Reset,
    Send,
    Sleep,
    Stall,
    Step,
    chunked,
    cut,
    head,
    json_answer,
    last_chunk,
    stream,
)
from tests.servers.scripted import ScriptedServer


def sizes(steps: list[Step]) -> list[int]:
    """Where each of the writes of an answer ends."""
    ends, at = [0], 0
    for step in steps:
        if isinstance(step, Send):
            at += len(step.data)
            ends.append(at)
    return ends


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
async def test_an_answer_that_breaks_off_at_any_chunk_is_a_typed_error(
    wire: Wire, scripted: ScriptedServer, end: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    """At every boundary between chunks and in the middle of each."""
    answer = wire.answer(["a", "b\u2028é", "c", "d"])
    ends = sizes(answer)
    points = sorted({*ends, *((a + b) // 2 for a, b in itertools.pairwise(ends))})
    # What breaks off behind the engine's last word, the chunk of length 0, is an answer.
    points = [point for point in points if point < ends[-3]]
    typed = 0
    async with wire.playing(
        scripted, *([*cut(answer, point, Sleep(0.02)), end] for point in points)
    ) as engine:
        for point in points:
            events, error = await failure(engine)
            assert isinstance(error, (EngineProtocolError, EngineUnavailable)), point
            assert not any(isinstance(event, Finished) for event in events)
            assert str(scripted.port) in error.message
            assert "ab\u2028écd".startswith(text(events))
            typed += 1
    # Each was sent once: what may have been heard is not said again.
    assert len(wire.requests(scripted)) == len(points)
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{wire}, {type(end).__name__}: {len(points)} cut points, {typed} typed errors"
        )


def body_of(data: bytes, content_type: str = "application/json") -> list[Step]:
    return stream([data], content_type=content_type)


@pytest.mark.parametrize(
    "answer",
    [
        body_of(b"<!doctype html>\n\n<html>\n\n<body>Hello</body>\n\n</html>\n", "text/html"),
        body_of(b'{"choices": [{"message": {"content": "not streamed"}}]}'),
        body_of(b""),
        body_of(b"\x00\xff" * 1000),
        json_answer(200, {}),
        [Send(b"HTTP/1.1 204 No Content\r\n\r\n")],
        [head(302, length=0, extra={"location": "http://example.invalid/"})],
        [Send(b"\x00garbage\r\n\r\n"), Close()],
        [Send(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n")],
        [Send(head().data + b"zz\r\nno length\r\n")],
        [head(length=1000), Send(b"\n"), Close()],
        [head(extra={"content-encoding": "gzip"}), chunked(b"\x1f\x8bxx\n\n"), last_chunk()],
    ],
    ids=[
        "HTML", "not streamed", "empty", "binary", "no lines", "204", "302", "no HTTP",
        "long header", "no chunk length", "too short", "gzip",
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_a_protocol_error(
    wire: Wire, scripted: ScriptedServer, answer: list[Step]
) -> None:
    async with wire.playing(scripted, answer) as engine:
        events, error = await failure(engine)
    assert isinstance(error, EngineProtocolError)
    assert error.hint
    assert text(events) == ""
    assert len(wire.requests(scripted)) == 1


async def test_broken_framing_in_mid_answer_is_a_typed_error(
    wire: Wire, scripted: ScriptedServer
) -> None:
    """aiohttp closes the connection and tells its reader nothing: a time limit has to."""
    broken = [*wire.sent(wire.token("x"))[:-1], Sleep(0.1), Send(b"zz\r\nno length\r\n"), Stall()]
    async with wire.playing(scripted, broken) as engine:
        _, error = await failure(engine, asked(TimeLimits(between_tokens_s=0.5)))
    assert isinstance(error, (EngineProtocolError, EngineTimeout))


async def test_a_chunk_without_end_is_a_protocol_error(
    wire: Wire, scripted: ScriptedServer
) -> None:
    flood = [head(), *[chunked(b"data: " + b"x" * 65_530)] * 1000]
    async with wire.playing(scripted, flood) as engine:
        _, error = await failure(engine)
        assert isinstance(error, EngineProtocolError)
        assert "4194304 bytes" in error.message
        await scripted.until(lambda s: s.seen[-1].client_left_at_ns)


@pytest.mark.parametrize("wire_and_error", [
    (OPENAI, b'data: {"error":{"message":"boom"}}\n\n'),
    (OPENAI, b"error: boom\n\n"),
    (OLLAMA, b'{"error":"boom"}\n'),
], ids=["openai", "llama.cpp", "ollama"])  # fmt: skip
async def test_an_error_inside_the_stream_is_a_rejection(
    scripted: ScriptedServer, wire_and_error: tuple[Wire, bytes]
) -> None:
    wire, error_chunk = wire_and_error
    async with wire.playing(scripted, wire.sent(wire.token("x"), error_chunk)) as engine:
        events, error = await failure(engine)
    assert isinstance(error, EngineRejected)
    assert error.status == 200
    assert "boom" in error.message
    assert text(events) == "x"


async def test_done_may_be_missing_and_the_finish_may_not(scripted: ScriptedServer) -> None:
    token, ending = OPENAI.token("x"), OPENAI.ending
    answers = [OPENAI.sent(token, ending), OPENAI.sent(token), [*OPENAI.sent(token)]]
    async with OPENAI.playing(scripted, *answers) as engine:
        assert isinstance((await collect(engine))[-1], Finished)
        _, error = await failure(engine)
        assert isinstance(error, EngineProtocolError)
        assert "finish" in error.message


async def test_nothing_behind_the_end_belongs_to_the_answer(
    wire: Wire, scripted: ScriptedServer
) -> None:
    """Whether it comes in the same read or in one of its own."""
    done: list[object] = [b"data: [DONE]\n\n"] if wire is OPENAI else []
    chunks = [wire.token("x"), wire.ending, *done, wire.token("y"), wire.ending]
    apart = wire.sent(*chunks)
    together: list[Step] = [Send(b"".join(s.data for s in apart if isinstance(s, Send)))]
    async with wire.playing(scripted, apart, together) as engine:
        for _ in range(2):
            events = await collect(engine)
            assert text(events) == "x"
            assert sum(isinstance(event, Finished) for event in events) == 1
            assert isinstance(events[-1], Finished)


async def test_sent_is_told_only_once_the_engine_has_accepted(
    wire: Wire, scripted: ScriptedServer
) -> None:
    async with wire.playing(scripted, wire.answer(["x"])) as engine:
        events: list[Event] = await collect(engine)
    assert isinstance(events[0], Sent)
    assert sum(isinstance(event, Sent) for event in events) == 1
