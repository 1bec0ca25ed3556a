"""Ollama's native chat on the wire: traps 2 to 5 and 10 of measuring.md."""

import json
from dataclasses import fields, replace
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
from novasystem.engines.ollama_wire import LineDecoder, encode_request
from novasystem.engines.requests import (
    GenerateRequest,
    JsonOutput,
    Message,
    Sampling,
    Tool,
    ToolCall,
)
from novasystem.engines.sse import Frame
from novasystem.engines.stream import StreamFault
from novasystem.errors import InvalidRequest

ASKED = GenerateRequest("m", (Message("user", "Hi"),))
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
COUNTS: dict[str, Any] = {
    "total_duration": 4_000_000_000,
    "load_duration": 500_000_000,
    "prompt_eval_count": 11,
    "prompt_eval_duration": 1_000_000_000,
    "eval_count": 3,
    "eval_duration": 2_000_000_000,
}


def decoded(*lines: object) -> list[Event]:
    decoder = LineDecoder()
    events: list[Event] = []
    for read, line in enumerate(lines):
        data = line if isinstance(line, bytes) else json.dumps(line).encode()
        events += decoder.decode(Frame(data, b"", len(data)), Arrival(read, read, len(data)))
    return events + decoder.end()


def said(**message: object) -> dict[str, Any]:
    return {"message": {"role": "assistant", **message}, "done": False}


def last(reason: str | None = "stop", **more: object) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": ""}, "done": True, **more} | (
        {"done_reason": reason} if reason else {}
    )


def test_thinking_comes_before_the_text_of_its_line() -> None:
    events = decoded(said(content="x", thinking="hm"), last())
    assert [type(event) for event in events] == [ReasoningDelta, TextDelta, Usage, Finished]


def test_a_line_without_text_is_a_chunk_and_no_token() -> None:
    assert type(decoded(said(content=""), last())[0]) is Chunk


def test_usage_and_durations_are_read_in_seconds() -> None:
    usage = decoded(last(**COUNTS))[0]
    assert isinstance(usage, Usage)
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, 3)
    assert usage.timings == ServerTimings(
        load_s=0.5, prefill_tokens=11, prefill_s=1, decode_tokens=3, decode_s=2, total_s=4
    )


def test_a_prompt_out_of_the_cache_has_no_count_rather_than_zero() -> None:
    cached = {name: value for name, value in COUNTS.items() if "prompt_eval" not in name}
    usage = decoded(last(**cached))[0]
    assert isinstance(usage, Usage)
    assert usage.timings is not None
    assert (usage.prompt_tokens, usage.timings.prefill_tokens) == (None, None)
    assert usage.timings.prefill_s is None
    assert usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("sent", "reason"),
    [("stop", "stop"), ("length", "length"), ("load", "stop"), ("new", "stop"), (None, "stop")],
)
def test_every_done_reason_has_a_meaning(sent: str | None, reason: str) -> None:
    finished = decoded(last(sent))[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == reason


def test_calls_are_numbered_over_all_lines_and_end_in_tool_calls() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": 1}}}, {"function": {"name": "g"}}]
    named = {"id": "call_x", "function": {"name": "h", "arguments": '{"b":2}'}}
    *pieces, _, finished = decoded(said(tool_calls=calls), said(tool_calls=[named]), last())
    assert all(isinstance(piece, ToolCallDelta) for piece in pieces)
    found = [(p.index, p.name, p.arguments) for p in pieces if isinstance(p, ToolCallDelta)]
    assert found == [(0, "f", '{"a":1}'), (1, "g", "{}"), (2, "h", '{"b":2}')]
    ids = [piece.id for piece in pieces if isinstance(piece, ToolCallDelta)]
    assert ids[2] == "call_x"
    assert len({*ids}) == 3
    assert isinstance(finished, Finished)
    assert finished.reason == "tool_calls"


@pytest.mark.parametrize("error", ["boom", {"message": "boom"}, [["boom"]]], ids=str)
def test_an_error_inside_a_200_is_reported_in_its_words(error: object) -> None:
    with pytest.raises(StreamFault, match="boom") as fault:
        decoded(said(content="x"), {"error": error})
    assert fault.value.reported


@pytest.mark.parametrize(
    "line",
    [
        [], 1, None, "x", "error", True, b"{", b"\xff", b"{}{}", b"<html>", {"message": "x"},
        {"message": [1]}, said(content=5), said(content=["x"]), said(thinking={"a": 1}),
        said(tool_calls=3), said(tool_calls=[None]), said(tool_calls=[{}]),
        said(tool_calls=[{"function": {}}]), said(tool_calls=[{"function": {"name": 5}}]),
        said(tool_calls=[{"id": 5, "function": {"name": "f"}}]),
        last(eval_count="3"), last(prompt_eval_count=[]), last(eval_duration="x"),
        last(total_duration={}),
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_line_is_a_fault_and_never_another_exception(line: object) -> None:
    with pytest.raises(StreamFault) as fault:
        decoded(line, last())
    assert not fault.value.reported


def test_a_stream_without_its_last_line_is_a_fault() -> None:
    for lines in ([], [said(content="x")], [{"done": False}]):
        with pytest.raises(StreamFault, match="last line"):
            decoded(*lines)


def test_every_sampling_parameter_is_sent_and_zero_is_a_value() -> None:
    values = {field.name: 0 for field in fields(Sampling)} | {"stop": ("a",)}
    sent = encode_request(replace(ASKED, sampling=Sampling(**values)))  # type: ignore[arg-type]
    options = dict(sent["options"])
    assert options.pop("num_predict") == 0
    assert options.pop("stop") == ["a"]
    assert options == {name: 0 for name in values if name not in {"stop", "max_tokens"}}


def test_a_plain_request_holds_only_what_was_asked() -> None:
    assert encode_request(ASKED) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "options": {},
        # Refused where it does not fit, rather than cut without a word.
        "truncate": False,
        "shift": False,
    }


def test_options_tools_thinking_and_format_have_their_places() -> None:
    sent = encode_request(
        replace(
            ASKED,
            tools=(Tool("f", "Does f.", SCHEMA),),
            json_output=JsonOutput(SCHEMA),
            think="low",
            options={"num_ctx": 512, "keep_alive": 0},
        )
    )
    assert sent["options"] == {"num_ctx": 512}
    assert (sent["keep_alive"], sent["think"], sent["format"]) == (0, "low", SCHEMA)
    assert sent["tools"][0]["function"] == {
        "name": "f",
        "description": "Does f.",
        "parameters": SCHEMA,
    }
    assert encode_request(replace(ASKED, json_output=JsonOutput(), think=False))["format"] == "json"
    assert encode_request(replace(ASKED, think=False))["think"] is False


def test_calls_and_their_results_are_sent_as_turns() -> None:
    messages = (
        Message("assistant", "so", tool_calls=(ToolCall("1", "f", '{"a":1}'),)),
        Message("tool", "42", tool_call_id="1", name="f"),
    )
    called, result = encode_request(replace(ASKED, messages=messages))["messages"]
    assert called["tool_calls"] == [{"id": "1", "function": {"name": "f", "arguments": {"a": 1}}}]
    assert (result["content"], result["tool_call_id"], result["tool_name"]) == ("42", "1", "f")


@pytest.mark.parametrize("arguments", ["{", "[]", "1", '"x"', "null"])
def test_arguments_that_are_no_object_are_the_callers_fault(arguments: str) -> None:
    messages = (Message("assistant", "", tool_calls=(ToolCall("1", "f", arguments),)),)
    with pytest.raises(InvalidRequest, match="not a JSON object"):
        encode_request(replace(ASKED, messages=messages))
