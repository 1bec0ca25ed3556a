"""Tools on engines that know none: the output is bound to a schema and turned into calls."""

import json
from typing import Any

import pytest

from novasystem.engines.events import Event, Finished, TextDelta, ToolCallDelta, Usage
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.requests import (
    GenerateRequest,
    JsonOutput,
    Message,
    Sampling,
    Tool,
    ToolCall,
    ToolChoice,
)
from novasystem.errors import EngineProtocolError, InvalidRequest, UnsupportedParameter
from tests.engines.asking import LIMITS, OLLAMA, OPENAI, Wire, collect, failure, text
from tests.servers.answers import Step, openai_chunk, openai_stream, sse
from tests.servers.scripted import ScriptedServer

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "Tells the weather.", CITY)
TIME = Tool("time", "Tells the time.")
CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'
ANSWER = '{"answer": "It is sunny."}'


def asked(choice: ToolChoice = ToolChoice(), **more: Any) -> GenerateRequest:  # noqa: B008
    messages = more.pop("messages", (Message("user", "Weather in Rome?"),))
    tools = more.pop("tools", (WEATHER, TIME))
    return GenerateRequest("m", messages, tools=tools, tool_choice=choice, limits=LIMITS, **more)


async def ask(
    server: ScriptedServer, steps: list[Step], request: GenerateRequest
) -> tuple[list[Event], Exception | None]:
    """What an engine whose tools are constrained makes of it, given this answer."""
    server.on("POST", OPENAI.path, steps)
    engine = OpenAIEngine("far", server.url, flavour="openai", tools="constrained")
    try:
        return await collect(engine, request), None
    except Exception as error:
        return [], error
    finally:
        await engine.aclose()


def pieces(whole: str) -> list[Step]:
    """The text in several chunks, with usage."""
    usage = {"prompt_tokens": 9, "completion_tokens": 5}
    return openai_stream([whole[:7], whole[7:]], usage=usage)


def call_of(events: list[Event]) -> ToolCallDelta:
    [call] = [event for event in events if isinstance(event, ToolCallDelta)]
    return call


def schema_of(server: ScriptedServer) -> dict[str, Any]:
    found: dict[str, Any] = server.seen[-1].json["response_format"]["json_schema"]["schema"]
    return found


@pytest.mark.parametrize(
    "choice",
    [ToolChoice(), ToolChoice("required"), ToolChoice("required", "weather")],
    ids=["auto", "required", "named"],
)
async def test_a_call_in_json_becomes_the_events_of_a_call(
    scripted: ScriptedServer, choice: ToolChoice
) -> None:
    events, error = await ask(scripted, pieces(CALL), asked(choice))
    assert error is None
    call = call_of(events)
    assert (call.index, call.name) == (0, "weather")
    assert json.loads(call.arguments) == {"city": "Rome"}
    assert call.id
    assert text(events) == ""
    assert any(isinstance(event, Usage) for event in events)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "tool_calls"


async def test_an_answer_in_json_becomes_text(scripted: ScriptedServer) -> None:
    events, _ = await ask(scripted, pieces(ANSWER), asked())
    assert text(events) == "It is sunny."
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stop"


async def test_the_schema_allows_what_the_choice_allows(scripted: ScriptedServer) -> None:
    def names(schema: dict[str, Any]) -> list[str]:
        shapes = schema.get("anyOf", [schema])
        return [shape["properties"].get("name", {}).get("const", "answer") for shape in shapes]

    for choice, expected in [
        (ToolChoice(), ["weather", "time", "answer"]),
        (ToolChoice("required"), ["weather", "time"]),
        (ToolChoice("required", "weather"), ["weather"]),
    ]:
        await ask(scripted, pieces(CALL), asked(choice))
        sent = scripted.seen[-1].json
        assert names(schema_of(scripted)) == expected
        assert "tools" not in sent
        assert "tool_choice" not in sent
        system = sent["messages"][0]
        assert system["role"] == "system"
        assert ("time" in system["content"]) == ("time" in expected)
    weather = schema_of(scripted)
    assert weather["properties"]["arguments"] == CITY
    assert weather["required"] == ["name", "arguments"]


async def test_where_none_may_be_called_none_are_shown(scripted: ScriptedServer) -> None:
    events, _ = await ask(scripted, openai_stream(["Hi"]), asked(ToolChoice("none")))
    assert text(events) == "Hi"
    sent = scripted.seen[-1].json
    assert {"tools", "tool_choice", "response_format"}.isdisjoint(sent)


async def test_a_wanted_json_answer_is_bound_to_its_own_schema(scripted: ScriptedServer) -> None:
    inner = {"type": "object", "properties": {"t": {"type": "integer"}}}
    request = asked(json_output=JsonOutput(inner))
    events, _ = await ask(scripted, pieces('{"answer": {"t": 3}}'), request)
    assert json.loads(text(events)) == {"t": 3}
    assert schema_of(scripted)["anyOf"][-1]["properties"]["answer"] == inner


async def test_the_system_message_of_the_caller_is_kept(scripted: ScriptedServer) -> None:
    messages = (Message("system", "Be brief."), Message("user", "Hi"))
    await ask(scripted, pieces(ANSWER), asked(messages=messages))
    system, user = scripted.seen[-1].json["messages"]
    assert system["content"].startswith("Be brief.\n\n")
    assert user == {"role": "user", "content": "Hi"}


async def test_earlier_calls_and_results_are_told_as_plain_turns(scripted: ScriptedServer) -> None:
    messages = (
        Message("user", "Weather in Rome?"),
        Message("assistant", "", tool_calls=(ToolCall("1", "weather", '{"city":"Rome"}'),)),
        Message("tool", "sunny", tool_call_id="1"),
    )
    await ask(scripted, pieces(ANSWER), asked(messages=messages))
    _, _, called, result = scripted.seen[-1].json["messages"]
    assert json.loads(called["content"]) == {"name": "weather", "arguments": {"city": "Rome"}}
    assert called.keys() == {"role", "content"}
    assert result == {"role": "user", "content": "Tool result: sunny"}


async def test_an_answer_cut_by_its_length_says_so(scripted: ScriptedServer) -> None:
    events, error = await ask(
        scripted, openai_stream(['{"name": "wea'], finish="length"), asked(ToolChoice("required"))
    )
    assert error is None
    assert text(events) == '{"name": "wea'
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "length"
    events, _ = await ask(scripted, openai_stream([], finish="length"), asked())
    assert [type(event).__name__ for event in events[-1:]] == ["Finished"]


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ("It is sunny.", ToolChoice()),
        ("It is sunny.", ToolChoice("required")),
        ("", ToolChoice()),
        ("[]", ToolChoice()),
        ("3", ToolChoice()),
        ('"answer"', ToolChoice()),
        ("{}", ToolChoice()),
        ('{"name": "weather"}', ToolChoice()),
        ('{"name": "other", "arguments": {}}', ToolChoice()),
        ('{"name": "weather", "arguments": "Rome"}', ToolChoice()),
        ('{"name": ["weather"], "arguments": {}}', ToolChoice()),
        (ANSWER, ToolChoice("required")),
        ('{"name": "time", "arguments": {}}', ToolChoice("required", "weather")),
    ],
)
async def test_an_engine_that_does_not_keep_to_the_schema_is_found_out(
    scripted: ScriptedServer, said: str, choice: ToolChoice
) -> None:
    _, error = await ask(scripted, openai_stream([said] if said else []), asked(choice))
    assert isinstance(error, EngineProtocolError)
    assert "schema" in error.message
    assert error.hint


async def test_stop_sequences_are_refused_since_they_would_cut_the_json(wire: Wire) -> None:
    engine = OpenAIEngine("far", "http://127.0.0.1:1", flavour="openai", tools="constrained")
    try:
        _, error = await failure(engine, asked(sampling=Sampling(stop=("x",))))
    finally:
        await engine.aclose()
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "stop"


async def test_a_choice_of_a_tool_that_is_not_there_is_refused(
    wire: Wire, scripted: ScriptedServer
) -> None:
    async with wire.playing(scripted) as engine:
        _, error = await failure(engine, asked(ToolChoice("required", "nope")))
    assert isinstance(error, InvalidRequest)
    assert "'nope'" in error.message
    assert wire.requests(scripted) == []


NATIVE_CALL = openai_chunk(
    {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "time", "arguments": "{}"}}]}
)


async def test_a_required_call_that_is_answered_in_prose_is_an_error(
    scripted: ScriptedServer,
) -> None:
    """Seen of llama.cpp: a 200, and prose."""
    prose = openai_stream(["It is sunny."])
    other = sse(NATIVE_CALL, openai_chunk({}, finish="tool_calls"))
    async with OPENAI.playing(scripted, prose, other, other) as engine:
        for choice in (ToolChoice("required"), ToolChoice("required", "weather")):
            _, error = await failure(engine, asked(choice))
            assert isinstance(error, EngineProtocolError)
            assert "required tool call" in error.message
            assert "constrained" in error.hint
        assert call_of(await collect(engine, asked(ToolChoice("required")))).name == "time"


async def test_a_required_call_that_was_cut_is_told_as_cut(scripted: ScriptedServer) -> None:
    async with OPENAI.playing(scripted, openai_stream(["It"], finish="length")) as engine:
        events = await collect(engine, asked(ToolChoice("required")))
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "length"


async def test_ollama_enforces_no_choice_so_its_output_is_constrained(
    scripted: ScriptedServer,
) -> None:
    scripted.on("POST", OLLAMA.path, OLLAMA.answer([CALL]))
    async with OLLAMA.playing(scripted, OLLAMA.answer([CALL])) as engine:
        events = await collect(engine, asked(ToolChoice("required")))
    assert call_of(events).name == "weather"
    sent = OLLAMA.requests(scripted)[0].json
    assert sent["format"]["anyOf"][0]["properties"]["name"] == {"const": "weather"}
    assert not any(isinstance(event, TextDelta) for event in events)
