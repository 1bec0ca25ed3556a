"""Chat completions on the wire: traps 1 to 5 of measuring.md, and everything that may be sent."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from novasystem.engines.events import (
    Arrival,
    Chunk,
    Event,
    Finished,
    ReasoningDelta,
    ServerTimings,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from novasystem.engines.openai_wire import ChunkDecoder
from novasystem.engines.requests import (
    GenerateRequest,
    Message,
)
from novasystem.engines.sse import Frame
from novasystem.engines.stream import StreamFault
from tests.servers.answers import openai_chunk

AT = Arrival(at_ns=1, read=0, size=1)
ASKED = GenerateRequest("m", (Message("user", "Hi"),))
USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def decoded(*chunks: object, event: bytes = b"") -> list[Event]:
    """The events of the chunks, each of which arrives in a read of its own, and of the end."""
    decoder = ChunkDecoder()
    events: list[Event] = []
    for read, chunk in enumerate(chunks):
        data = chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()
        events += decoder.decode(Frame(data, event, len(data)), Arrival(read, read, len(data)))
    return events + decoder.end()


def delta(**fields: object) -> dict[str, Any]:
    return openai_chunk(fields)


def finish(reason: str = "stop", **beside: object) -> dict[str, Any]:
    return openai_chunk({}, finish=reason) | beside


def usage_of(events: list[Event]) -> Usage | None:
    return next((event for event in events if isinstance(event, Usage)), None)


def call(
    index: int | None, arguments: object, *, own: str | None = None, name: str | None = None
) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    parts: dict[str, Any] = {"function": function}
    if index is not None:
        parts["index"] = index
    return parts | ({"id": own} if own else {})


def test_the_role_that_opens_an_answer_is_a_chunk_and_no_token() -> None:
    role = delta(role="assistant", content="")
    events = decoded(role, delta(role="assistant", content=None), delta(content="x"), finish())
    assert [type(event) for event in events] == [Chunk, Chunk, TextDelta, Chunk, Finished]


def test_the_end_comes_last_and_bears_the_arrival_of_the_chunk_that_finished() -> None:
    usage = openai_chunk({}) | {"choices": [], "usage": USAGE}
    *_, counted, finished = decoded(delta(content="x"), finish("length"), usage)
    assert isinstance(counted, Usage)
    assert counted.arrival.read == 2
    assert finished == Finished("length", Arrival(1, 1, finished_size()))


def finished_size() -> int:
    return len(json.dumps(finish("length")))


@pytest.mark.parametrize(
    "chunks",
    [
        [finish(), openai_chunk({}) | {"choices": [], "usage": USAGE}],
        [finish(usage=USAGE)],
        [finish(usage=None), {"usage": USAGE}],
        [delta(content="x") | {"usage": {"prompt_tokens": 7}}, finish(usage=USAGE)],
    ],
    ids=["in a chunk of its own", "with the finish", "without choices", "growing"],
)
def test_usage_is_found_wherever_it_stands(chunks: list[object]) -> None:
    usage = usage_of(decoded(*chunks))
    assert usage is not None
    counts = (usage.prompt_tokens, usage.completion_tokens)
    assert counts == (7, 2)
    assert (usage.cached_tokens, usage.reasoning_tokens, usage.timings) == (5, 1, None)


def test_usage_that_was_not_sent_is_absent_and_not_zero() -> None:
    assert usage_of(decoded(delta(content="x"), finish())) is None
    usage = usage_of(decoded(finish(usage={"completion_tokens": 0})))
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (None, 0)


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_reasoning_is_told_from_text_under_either_name(key: str) -> None:
    events = decoded(delta(**{key: "hm"}), delta(**{key: "so", "content": "x"}), finish())
    assert events[:3] == [
        ReasoningDelta("hm", events[0].arrival),  # type: ignore[union-attr]
        ReasoningDelta("so", events[1].arrival),  # type: ignore[union-attr]
        TextDelta("x", events[1].arrival),  # type: ignore[union-attr]
    ]


def test_the_timings_of_llama_cpp_are_read_in_seconds() -> None:
    timings = {
        "prompt_n": 3,
        "prompt_ms": 150.0,
        "predicted_n": 4,
        "predicted_ms": 80,
        "cache_n": 9,
    }
    usage = usage_of(decoded(finish(timings=timings)))
    assert usage is not None
    assert usage.timings == ServerTimings(
        prefill_tokens=3, prefill_s=0.15, decode_tokens=4, decode_s=0.08
    )


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        (
            [[call(0, "", own="a", name="f")], [call(0, '{"x":')], [call(0, "1}")]],
            {0: ("a", "f", '{"x":1}')},
        ),
        (
            [[call(0, "{}", own="a", name="f"), call(1, "", own="b", name="g")], [call(1, "{}")]],
            {0: ("a", "f", "{}"), 1: ("b", "g", "{}")},
        ),
        (
            [[call(None, "{}", own="a", name="f")], [call(None, "{}", own="b", name="g")]],
            {0: ("a", "f", "{}"), 1: ("b", "g", "{}")},
        ),
        (
            [[call(None, "{", own="a", name="f")], [call(None, "}", own="a")], [call(None, " ")]],
            {0: ("a", "f", "{} ")},
        ),
        (
            [[call(None, "{}", name="f"), call(None, "{}", name="g")]],
            {0: ("call_0", "f", "{}"), 1: ("call_1", "g", "{}")},
        ),
        ([[call(0, {"x": [1]}, name="f")]], {0: ("call_0", "f", '{"x":[1]}')}),
        ([[call(0, None, own="a", name="f")]], {0: ("a", "f", "")}),
    ],
    ids=["pieces", "two", "two unnumbered", "one unnumbered", "no ids", "object", "no arguments"],
)
def test_the_pieces_of_a_call_are_put_to_their_call(
    fragments: list[list[dict[str, Any]]], expected: dict[int, tuple[str, str, str]]
) -> None:
    events = decoded(*(delta(tool_calls=calls) for calls in fragments), finish("tool_calls"))
    pieces = [event for event in events if isinstance(event, ToolCallDelta)]
    for index, (call_id, name, arguments) in expected.items():
        first, *more = [piece for piece in pieces if piece.index == index]
        assert (first.id, first.name) == (call_id, name)
        assert all((piece.id, piece.name) == (None, None) for piece in more)
        assert "".join(piece.arguments for piece in (first, *more)) == arguments
    assert {piece.index for piece in pieces} == set(expected)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_calls"), ("eos", "stop"),
     ("content_filter", "content_filter"), ("function_call", "tool_calls"), ("new", "stop")],
)  # fmt: skip
def test_every_finish_reason_has_a_meaning(sent: str, reason: str) -> None:
    finished = decoded(finish(sent))[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == reason


def test_calls_that_end_in_stop_end_in_tool_calls() -> None:
    finished = decoded(delta(tool_calls=[call(0, "{}", name="f")]), finish("stop"))[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == "tool_calls"


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_finish_reason_finishes_nothing(empty: str | None) -> None:
    with pytest.raises(StreamFault, match="without a finish"):
        decoded(openai_chunk({"content": "x"}, finish=empty))


@pytest.mark.parametrize(
    ("chunk", "event"),
    [
        ({"error": {"message": "boom", "type": "x", "code": 500}}, b""),
        ({"error": "boom", "error_type": "generation"}, b""),
        ({"object": "error", "message": "boom", "type": "x", "code": 400}, b""),
        (finish("error", error={"code": 502, "message": "boom"}), b""),
        ({"code": 500, "message": "boom", "type": "server_error"}, b"error"),
        ({"error": {"message": "boom"}}, b"error"),
        (b"boom", b"error"),
        ({"detail": "boom"}, b"error"),
    ],
    ids=["openai", "tgi", "old vllm", "openrouter", "llama.cpp", "lm studio", "text", "fastapi"],
)
def test_an_error_inside_a_200_is_reported_in_its_words(chunk: object, event: bytes) -> None:
    with pytest.raises(StreamFault, match="boom") as fault:
        decoded(chunk, event=event)
    assert fault.value.reported


def test_a_generation_that_failed_is_no_answer() -> None:
    with pytest.raises(StreamFault) as fault:
        decoded(delta(content="x"), finish("error"))
    assert fault.value.reported


def test_an_error_nested_beyond_all_reason_is_still_reported() -> None:
    with pytest.raises(StreamFault) as fault:
        decoded(b'{"error":' + b"[" * 300 + b"]" * 300 + b"}")
    assert fault.value.reported


def test_an_error_of_null_is_none() -> None:
    assert isinstance(decoded(delta(content="x") | {"error": None}, finish())[0], TextDelta)


@pytest.mark.parametrize(
    "chunk",
    [
        [], 1, None, "x", True, b"", b"{", b"\xff", b"{}{}", b"<html>", {"choices": 3},
        {"choices": "x"}, {"choices": [None]}, {"choices": [[]]}, {"choices": {"a": 1}},
        openai_chunk({"content": 5}), openai_chunk({"content": ["x"]}),
        openai_chunk({"content": {"a": 1}}), openai_chunk({"reasoning": 5}),
        openai_chunk({"reasoning_content": ["x"]}), openai_chunk({"tool_calls": 3}),
        openai_chunk({"tool_calls": [None]}), openai_chunk({"tool_calls": [{}]}),
        openai_chunk({"tool_calls": [call(0, "{}", own="a")]}),
        openai_chunk({"tool_calls": [{"function": {"name": 5}}]}),
        openai_chunk({"tool_calls": [{"function": 5}]}),
        openai_chunk({"tool_calls": [{"id": 5, "function": {"name": "f"}}]}),
        openai_chunk({"tool_calls": [{"index": "x", "function": {"name": "f"}}]}),
        {"choices": [{"delta": "x"}]}, {"choices": [{"delta": [1]}]},
        {"choices": [{"finish_reason": ["stop"]}]}, finish(usage=3), finish(usage=[1]),
        finish(usage={"prompt_tokens": "7"}), finish(usage={"prompt_tokens": 1.5}),
        finish(usage={"prompt_tokens_details": 3}), finish(timings=[1]),
        finish(timings={"prompt_ms": "x"}), finish(timings={"predicted_n": "x"}),
    ],
    ids=lambda chunk: str(chunk)[-60:],
)  # fmt: skip
def test_a_malformed_chunk_is_a_fault_and_never_another_exception(chunk: object) -> None:
    with pytest.raises(StreamFault) as fault:
        decoded(chunk, finish())
    assert not fault.value.reported


@pytest.mark.parametrize(
    "chunk",
    [{}, {"choices": None}, {"choices": []}, {"choices": [{}]}, {"choices": [{"delta": None}]}],
    ids=str,
)
def test_a_chunk_that_says_nothing_is_taken_for_that(chunk: Mapping[str, object]) -> None:
    assert [type(event) for event in decoded(chunk, finish())] == [Chunk, Chunk, Finished]


def test_a_stream_without_a_finish_is_a_fault() -> None:
    for chunks in ([], [delta(content="x")], [b"[DONE]"], [delta(content="x"), b"[DONE]"]):
        with pytest.raises(StreamFault, match="finish"):
            decoded(*chunks)
