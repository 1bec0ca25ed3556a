"""Every parameter of OpenAI's is honoured, neutral, or refused with a 400 that names it."""

import inspect
from typing import Any

import pytest
from openai.types.chat import completion_create_params
from openai.types.embedding_create_params import EmbeddingCreateParams

from novasystem.completions.schemas import CompletionRequest, EmbeddingRequest
from tests.completions.asking import ASKED, TOOL, TURN, complete
from tests.http.doors import COMPLETIONS, Door
from tests.http.wire import Answer, ask
from tests.servers.answers import openai_chunk, openai_stream, sse

HONOURED: list[tuple[str, Any]] = [
    ("temperature", 0),
    ("temperature", 1.5),
    ("top_p", 0),
    ("top_k", 0),
    ("top_k", 40),
    ("min_p", 0.0),
    ("seed", 0),
    ("seed", -5),
    ("max_tokens", 1),
    ("presence_penalty", -0.5),
    ("frequency_penalty", 2),
    ("stop", ["a", "b"]),
]

# What OpenAI's API knows and no engine here can do, each at a value that asks for something.
IMPOSSIBLE: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "mp3"},
    "function_call": "auto",
    "functions": [{"name": "f"}],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "modalities": ["text", "audio"],
    "moderation": {"model": "m"},
    "n": 2,
    "prediction": {"type": "content", "content": "a"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "high",
    "safety_identifier": "s",
    "service_tier": "flex",
    "store": True,
    "top_logprobs": 3,
    "verbosity": "low",
    "web_search_options": {},
}
NEUTRAL: dict[str, list[Any]] = {
    "n": [1],
    "logprobs": [False],
    "top_logprobs": [0],
    "logit_bias": [{}],
    "store": [False],
    "service_tier": ["auto", "default"],
    "modalities": [["text"]],
    "verbosity": ["medium"],
    "presence_penalty": [0],
    "frequency_penalty": [0.0],
    "parallel_tool_calls": [True, False],
    "tool_choice": ["none", "auto"],
    "tools": [[]],
    "response_format": [{"type": "text"}],
    "stop": [[]],
    "user": ["someone"],
    "metadata": [{"a": "b"}],
}


def refused(answer: Answer, name: str) -> None:
    error = answer.json["error"]
    assert answer.status == 400, answer.text
    assert error["type"] == "invalid_request_error"
    assert error["param"] == name
    assert f"'{name}'" in error["message"]


@pytest.mark.parametrize(("name", "value"), HONOURED)
def test_what_is_asked_for_reaches_the_engine(door: Door, name: str, value: Any) -> None:
    door.answers(openai_stream(["a"]))
    assert complete(door, **{name: value}).status == 200
    sent = door.asked[0].json
    assert sent[name] == value
    assert type(sent[name]) is type(value) or sent[name] == float(value)


def test_what_is_not_asked_for_is_left_to_the_engine(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    assert complete(door).status == 200
    asked = {"model", "messages", "stream", "stream_options"}
    assert set(door.asked[0].json) == asked


def test_other_names_of_the_same_thing(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    complete(door, max_completion_tokens=7, stop="x", repeat_penalty=1.1)
    sent = door.asked[0].json
    assert (sent["max_tokens"], sent["stop"], sent["repetition_penalty"]) == (7, ["x"], 1.1)


@pytest.mark.parametrize("name", sorted(IMPOSSIBLE))
def test_what_cannot_be_honoured_is_refused_by_name(door: Door, name: str) -> None:
    door.answers(openai_stream(["a"]))
    refused(complete(door, **{name: IMPOSSIBLE[name]}), name)
    refused(complete(door, **{name: IMPOSSIBLE[name]}, stream=True), name)
    assert not door.asked


@pytest.mark.parametrize("name", ["temprature", "best_of", "Temperature", "x" * 80])
def test_an_unknown_parameter_is_refused_by_name(door: Door, name: str) -> None:
    refused(complete(door, **{name: 1}), name)


def test_a_null_asks_for_nothing(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    names = {*CompletionRequest.model_fields, *IMPOSSIBLE, "no_such_thing"} - {"messages"}
    assert complete(door, **dict.fromkeys(names)).status == 200


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in NEUTRAL.items() for v in vs])
def test_a_neutral_value_is_accepted(door: Door, name: str, value: Any) -> None:
    door.answers(openai_stream(["a"]))
    assert complete(door, **{name: value}).status == 200


def test_no_parameter_of_the_official_client_s_is_forgotten() -> None:
    """A newer client with a new parameter fails here, and someone decides what it means."""
    known = {*CompletionRequest.model_fields, *IMPOSSIBLE}
    params = completion_create_params.CompletionCreateParamsBase
    assert {*inspect.get_annotations(params), "stream"} <= known
    assert set(inspect.get_annotations(EmbeddingCreateParams)) <= set(EmbeddingRequest.model_fields)


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"n": 0}, "n"),
        ({"stream": "perhaps"}, "stream"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi."}, "messages"),
        ({"messages": [{"role": "boss", "content": "Hi."}]}, "messages.0.role"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"tools": [TOOL] * 129}, "tools"),
    ],
    ids=repr,
)
def test_a_value_that_does_not_fit_is_a_422_that_names_it(
    door: Door, parameters: dict[str, Any], param: str
) -> None:
    answer = complete(door, **parameters)
    assert answer.status == 422
    error = answer.json["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "validation_error")
    assert error["param"].startswith(param)


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}},
            "tool_choice",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "response_format.json_schema.schema",
        ),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
        ),
        ({"num_ctx": 2048}, "num_ctx"),
        ({"keep_alive": "5m"}, "keep_alive"),
    ],
    ids=repr,
)
def test_what_fits_but_cannot_be_done_is_a_400_that_names_it(
    door: Door, parameters: dict[str, Any], param: str
) -> None:
    door.answers(openai_stream(["a"]))
    answer = complete(door, **parameters)
    assert (answer.status, answer.json["error"]["param"]) == (400, param), answer.text
    assert not door.asked


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user"}, "messages[1].content"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
            "messages[1].content",
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
            "messages[1].content",
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "a", "weight": 2}]},
            "messages[1].content",
        ),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[1].content"),
        ({"role": "tool", "content": "5"}, "messages[1].tool_call_id"),
        ({"role": "user", "content": "a", "mood": "grim"}, "messages[1].mood"),
        (
            {"role": "user", "content": "a"}
            | {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": ""}}]},
            "messages[1].tool_calls",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_message_that_cannot_be_understood_is_refused_by_place(
    door: Door, message: dict[str, Any], param: str
) -> None:
    answer = complete(door, messages=[*TURN, message])
    assert (answer.status, answer.json["error"]["param"]) == (400, param), answer.text


def test_developer_is_system_and_parts_of_text_are_joined(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    given = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}]
    assert complete(door, messages=given).status == 200
    assert door.asked[0].json["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "ab"},
    ]


def test_a_tool_s_answer_reaches_the_engine_beside_its_call(door: Door) -> None:
    door.answers(openai_stream(["Cold."]))
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    given = [
        *TURN,
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "5"},
    ]
    assert complete(door, messages=given, tools=[TOOL]).status == 200
    assert door.asked[0].json["messages"][1:] == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "5", "tool_call_id": "call_1"},
    ]


def test_a_schema_and_a_choice_reach_the_engine(door: Door) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    call = {"index": 0, "id": "c", "function": {"name": "get_weather", "arguments": "{}"}}
    called = sse(openai_chunk({"tool_calls": [call]}), openai_chunk({}, finish="tool_calls"))
    door.answers(openai_stream(['{"a": 1}']), called)
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    assert complete(door, response_format=form).status == 200
    assert door.asked[0].json["response_format"] == form
    assert complete(door, tools=[TOOL], tool_choice="required").status == 200
    assert door.asked[1].json["tool_choice"] == "required"
    assert door.asked[1].json["tools"] == [TOOL]


def test_messages_over_the_limit_together_are_too_long(door: Door) -> None:
    answer = ask(
        door.port,
        "POST",
        COMPLETIONS,
        {**ASKED, "messages": TURN * 2 + [{"role": "user", "content": "a" * 400_000}]},
    )
    assert (answer.status, answer.json["error"]["code"]) == (422, "message_too_long")
