"""What is asked for is what is sent: nothing dropped, nothing invented."""

from dataclasses import fields, replace
from typing import Any

import pytest

from novasystem.engines.openai_wire import encode_request
from novasystem.engines.requests import (
    GenerateRequest,
    JsonOutput,
    Message,
    Sampling,
    Tool,
    ToolCall,
    ToolChoice,
)

ASKED = GenerateRequest("m", (Message("user", "Hi"),))
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOL = Tool("f", "Does f.", SCHEMA)


def body(asked: GenerateRequest, **names: str) -> dict[str, Any]:
    return encode_request(asked, names=names)


def test_a_plain_request_holds_only_what_was_asked() -> None:
    assert body(ASKED) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_every_sampling_parameter_is_sent_and_zero_is_a_value() -> None:
    values = {field.name: 0 for field in fields(Sampling)} | {"stop": ("a", "b")}
    sent = body(replace(ASKED, sampling=Sampling(**values)))  # type: ignore[arg-type]
    assert {name: sent[name] for name in values} == values | {"stop": ["a", "b"]}


def test_a_parameter_goes_under_the_name_that_the_server_knows() -> None:
    asked = replace(ASKED, sampling=Sampling(repeat_penalty=1.1))
    sent = body(asked, repeat_penalty="repetition_penalty")
    assert sent["repetition_penalty"] == 1.1
    assert "repeat_penalty" not in sent


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("required", "f"), {"type": "function", "function": {"name": "f"}}),
    ],
    ids=["auto", "none", "required", "named"],
)
def test_tools_are_sent_with_their_choice(choice: ToolChoice, sent: object) -> None:
    asked = replace(ASKED, tools=(TOOL,), tool_choice=choice, parallel_tool_calls=False)
    assert body(asked)["tool_choice"] == sent
    assert body(asked)["parallel_tool_calls"] is False
    assert body(asked)["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "Does f.", "parameters": SCHEMA},
        }
    ]


def test_json_output_is_sent_with_and_without_a_schema() -> None:
    assert body(replace(ASKED, json_output=JsonOutput()))["response_format"] == {
        "type": "json_object"
    }
    sent = body(replace(ASKED, json_output=JsonOutput(SCHEMA, "n")))["response_format"]
    assert sent == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
    }


@pytest.mark.parametrize(("think", "sent"), [(True, True), (False, False), ("low", True)])
def test_thinking_is_switched_in_the_template(think: Any, sent: bool) -> None:
    kwargs = body(replace(ASKED, think=think))["chat_template_kwargs"]
    assert kwargs == {"enable_thinking": sent}


def test_options_of_one_engine_are_sent_as_they_are() -> None:
    assert body(replace(ASKED, options={"cache_prompt": False}))["cache_prompt"] is False


def test_calls_and_their_results_are_sent_as_turns() -> None:
    messages = (
        Message("assistant", "", tool_calls=(ToolCall("1", "f", '{"a":1}'),)),
        Message("tool", "42", tool_call_id="1", name="f"),
    )
    assert body(replace(ASKED, messages=messages))["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
            ],
        },
        {"role": "tool", "content": "42", "tool_call_id": "1", "name": "f"},
    ]
