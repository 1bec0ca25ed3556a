"""Tools and JSON: whatever an engine does itself, what is asked of it is what comes."""

import json

import pytest

from novasystem.engines.events import (
    Finished,
)
from novasystem.engines.requests import (
    JsonOutput,
    Message,
    Sampling,
    ToolCall,
    ToolChoice,
)
from tests.contract.asking import (
    TOOLS,
    answer,
    asked,
    calls,
    reason,
    text,
)
from tests.contract.conftest import Subject

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_json_fits_its_schema(subject: Subject) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "city": {"enum": ["Rome", "Oslo"]}},
        "required": ["ok", "city"],
        "additionalProperties": False,
    }
    sampling = Sampling(temperature=1.0, seed=1, max_tokens=200)
    events = await answer(subject, asked(json_output=JsonOutput(schema), sampling=sampling))
    value = json.loads(text(events))
    assert isinstance(value.pop("ok"), bool)
    assert value.pop("city") in {"Rome", "Oslo"}
    assert value == {}
    assert reason(events) == "stop"


@pytest.mark.parametrize("name", [None, "get_time"])
async def test_a_required_call_is_made_with_arguments_that_fit(
    subject: Subject, name: str | None
) -> None:
    request = asked(
        "What time is it in Oslo?",
        tools=TOOLS,
        tool_choice=ToolChoice("required", name),
        sampling=Sampling(temperature=0.0, max_tokens=200),
    )
    events = await answer(subject, request)
    made = calls(events)
    assert made
    for called, arguments in made:
        assert called == name or (name is None and called in {"get_weather", "get_time"})
        assert arguments["city"] in {"Rome", "Oslo"}
    assert reason(events) == "tool_calls"


async def test_tools_that_may_be_called_break_nothing(subject: Subject) -> None:
    sampling = Sampling(temperature=0.0, max_tokens=100)
    events = await answer(subject, asked("Weather in Rome?", tools=TOOLS, sampling=sampling))
    assert reason(events) in {"stop", "length", "tool_calls"}


async def test_where_no_call_is_allowed_none_is_made(subject: Subject) -> None:
    request = asked("Weather in Rome?", tools=TOOLS, tool_choice=ToolChoice("none"))
    events = await answer(subject, request)
    assert calls(events) == []
    assert text(events)


async def test_the_result_of_a_call_is_taken(subject: Subject) -> None:
    messages = (
        Message("system", "Be brief."),
        Message("user", "Weather in Rome?"),
        Message("assistant", "", tool_calls=(ToolCall("1", "get_weather", '{"city":"Rome"}'),)),
        Message("tool", "sunny, 25 degrees", tool_call_id="1", name="get_weather"),
    )
    for tools in (TOOLS, ()):
        events = await answer(subject, asked(messages=messages, tools=tools))
        assert isinstance(events[-1], Finished)
