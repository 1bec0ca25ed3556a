"""``/v1/chat/completions`` byte for byte: every field of OpenAI's form, in each answer."""

import re
import time
from typing import Any

import pytest

from tests.completions.asking import ASKED, TOOL, WEATHER_CALL, complete, frames
from tests.http.doors import COMPLETIONS, Door
from tests.http.wire import opened
from tests.servers.answers import Stall, openai_chunk, openai_stream, sse

USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


def test_a_whole_answer_has_every_field(door: Door) -> None:
    door.answers(openai_stream(["Hel", "lo"], usage=USAGE))
    answer = complete(door)
    assert answer.headers["content-type"] == "application/json"
    said = answer.json
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{28}", said.pop("id"))
    assert abs(said.pop("created") - time.time()) < 60
    assert said == {
        "object": "chat.completion",
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": USAGE,
    }


def test_a_stream_is_role_then_text_then_finish_then_done(door: Door) -> None:
    door.answers(openai_stream(["Hel", "lo"], usage=USAGE))
    with opened(door.port, COMPLETIONS, {**ASKED, "stream": True}) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-cache"
        body = stream.body().decode()
    assert body.endswith("\n\ndata: [DONE]\n\n")
    assert "event:" not in body
    assert "usage" not in body
    chunks = frames(door)
    assert [set(chunk) for chunk in chunks] == [{"id", "object", "created", "model", "choices"}] * 4
    assert [chunk["choices"][0]["index"] for chunk in chunks] == [0] * 4
    assert [chunk["choices"][0]["logprobs"] for chunk in chunks] == [None] * 4
    assert deltas(chunks) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None, None, None, "stop"]


def test_id_time_and_model_are_the_same_throughout_and_new_for_each_answer(door: Door) -> None:
    door.answers(openai_stream(["a"] * 50))
    first, second = frames(door), frames(door)
    same = {(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in first}
    assert len(same) == 1
    assert first[0]["object"] == "chat.completion.chunk"
    assert first[0]["id"] != second[0]["id"]


def test_with_include_usage_every_chunk_has_null_and_one_more_has_the_counts(door: Door) -> None:
    door.answers(openai_stream(["a", "b"], usage=USAGE))
    chunks = frames(door, stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in chunks] == [None] * 4 + [USAGE]
    assert chunks[-1]["choices"] == []
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


def test_without_it_no_chunk_speaks_of_usage(door: Door) -> None:
    door.answers(openai_stream(["a"], usage=USAGE))
    for options in (None, {}, {"include_usage": False}, {"include_usage": None}):
        assert not any("usage" in chunk for chunk in frames(door, stream_options=options))


def test_a_streamed_call_gives_id_and_name_once(door: Door) -> None:
    pieces = [openai_chunk({"tool_calls": [piece]}) for piece in WEATHER_CALL]
    door.answers(sse(*pieces, openai_chunk({}, finish="tool_calls")))
    chunks = frames(door, tools=[TOOL])
    calls = [call for delta in deltas(chunks) for call in delta.get("tool_calls", [])]
    assert calls[0]["id"] == "call_1"
    assert calls[0]["type"] == "function"
    assert calls[0]["function"]["name"] == "get_weather"
    assert all(set(call) == {"index", "function"} for call in calls[1:])
    assert all(set(call["function"]) == {"arguments"} for call in calls[1:])
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city": "Oslo"}'
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_whole_call_has_no_content(door: Door) -> None:
    pieces = [openai_chunk({"tool_calls": [piece]}) for piece in WEATHER_CALL]
    second = {"index": 1, "id": "call_2", "function": {"name": "get_weather", "arguments": "{}"}}
    pieces.append(openai_chunk({"tool_calls": [second]}))
    door.answers(sse(*pieces, openai_chunk({}, finish="tool_calls")))
    (choice,) = complete(door, tools=[TOOL]).json["choices"]
    assert choice["finish_reason"] == "tool_calls"
    function = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": function},
            {"id": "call_2", "type": "function"}
            | {"function": {"name": "get_weather", "arguments": "{}"}},
        ],
    }


def test_reasoning_stands_beside_the_content(door: Door) -> None:
    door.answers(openai_stream(["answer"], reasoning=["hm", "so"]))
    message = complete(door).json["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("hmso", "answer")
    reasoning = [delta.get("reasoning_content") for delta in deltas(frames(door))]
    assert reasoning == [None, "hm", "so", None, None]


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_the_reason_of_the_end_is_handed_on(door: Door, reason: str) -> None:
    door.answers(openai_stream(["a"], finish=reason))
    assert complete(door).json["choices"][0]["finish_reason"] == reason
    assert frames(door)[-1]["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize("text", ["\u2028", "😀", "a\r\nb\n\nc", "data: [DONE]\n\n", '"\\\x00'])
def test_any_text_comes_out_unharmed(door: Door, text: str) -> None:
    door.answers(openai_stream([text]))
    assert complete(door).json["choices"][0]["message"]["content"] == text
    assert deltas(frames(door))[1] == {"content": text}


def test_the_name_that_was_asked_for_comes_back(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    for name, engines in (
        ("gpt-4", "scripted"),
        ("openai/scripted", "scripted"),
        (None, "scripted"),
    ):
        assert complete(door, model=name).json["model"] == (name or "scripted")
        assert {chunk["model"] for chunk in frames(door, model=name)} == {name or "scripted"}
        assert door.asked[-1].json["model"] == engines


def test_a_silent_stream_has_heartbeats_that_clients_skip(door: Door) -> None:
    begun = openai_stream(["a"], finish=None, done=False)
    door.answers([*begun[:-1], Stall()])
    with opened(door.port, COMPLETIONS, {**ASKED, "stream": True}) as stream:
        *_, text, error = stream.rest()
    assert text.json["choices"][0]["delta"] == {"content": "a"}
    assert error.json["error"]["code"] == "engine_timeout"
    assert set(error.json["error"]) == {"message", "type", "param", "code"}
    assert stream.pings >= 3
