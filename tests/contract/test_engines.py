"""One suite for every engine: what stands here can be relied on, whichever of them answers.

The weights are those of the package; what they know is no part of the contract.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import pytest

from novasystem.engines.events import (
    Event,
    Finished,
    Sent,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from novasystem.engines.requests import (
    EmbedRequest,
    GenerateRequest,
    JsonOutput,
    Message,
    Sampling,
    TimeLimits,
    Tool,
    ToolCall,
    ToolChoice,
)
from novasystem.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    UnsupportedParameter,
)
from tests.contract.conftest import MODEL, Subject
from tests.contract.cpu import tree_cpu_s

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = TimeLimits(connect_s=5, first_token_s=60, between_tokens_s=30, total_s=120)
GREEDY = Sampling(temperature=0.0, seed=0, max_tokens=24)
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}},
    "required": ["city"],
}
TOOLS = (
    Tool("get_weather", "Tells the weather in a city.", CITY),
    Tool("get_time", "Tells the time in a city.", CITY),
)
ENDLESS = {"type": "array", "minItems": 200, "items": {"type": "boolean"}}


def asked(said: str = "Hi.", **more: Any) -> GenerateRequest:
    messages = more.pop("messages", (Message("user", said),))
    sampling = more.pop("sampling", GREEDY)
    return GenerateRequest(MODEL, messages, sampling=sampling, limits=LIMITS, **more)


async def answer(subject: Subject, request: GenerateRequest) -> list[Event]:
    async with aclosing(subject.engine.generate(request)) as events:
        return [event async for event in events]


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def reason(events: Sequence[Event]) -> str:
    last = events[-1]
    assert isinstance(last, Finished)
    return last.reason


def calls(events: Sequence[Event]) -> list[tuple[str, Any]]:
    pieces = [event for event in events if isinstance(event, ToolCallDelta)]
    found = []
    for index in sorted({piece.index for piece in pieces}):
        first, *more = [piece for piece in pieces if piece.index == index]
        assert first.id
        assert first.name
        arguments = first.arguments + "".join(piece.arguments for piece in more)
        found.append((first.name, json.loads(arguments)))
    return found


async def test_models_are_listed_with_what_is_known_of_them(subject: Subject) -> None:
    [model] = await subject.engine.models()
    assert (model.name, model.engine) == (MODEL, subject.engine.name)
    assert model.context_tokens == 1024
    assert model.size_bytes is not None
    assert model.size_bytes > 100_000
    assert model.created > 1_600_000_000
    assert model.parameters is None or model.parameters.endswith("M")


async def test_health_is_good(subject: Subject) -> None:
    health = await subject.engine.health()
    assert health.ok
    assert health.detail


async def test_an_answer_is_sent_text_usage_and_finish_in_this_order(subject: Subject) -> None:
    events = await answer(subject, asked())
    assert isinstance(events[0], Sent)
    assert isinstance(events[-1], Finished)
    assert isinstance(events[-2], Usage)
    assert text(events)
    arrived = [event.arrival for event in events if not isinstance(event, Sent)]
    assert arrived[0].at_ns >= events[0].at_ns
    chunks = [event.arrival for event in events if isinstance(event, TextDelta)]
    for earlier, later in pairwise(chunks):
        assert earlier.at_ns <= later.at_ns
        assert earlier.read <= later.read
    assert all(arrival.size > 0 for arrival in arrived)


async def test_usage_and_the_engines_own_timings_are_reported(subject: Subject) -> None:
    events = await answer(subject, asked("Count from one to ten, please."))
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert usage.prompt_tokens is not None
    assert usage.completion_tokens is not None
    assert usage.prompt_tokens > 5
    assert 0 < usage.completion_tokens <= 24
    timings = usage.timings
    assert timings is not None
    assert timings.decode_tokens == usage.completion_tokens
    assert timings.decode_s is not None
    assert 0 < timings.decode_s < 60
    assert timings.prefill_s is not None
    assert 0 < timings.prefill_s < 60


async def test_at_temperature_zero_an_answer_can_be_repeated(subject: Subject) -> None:
    # The first may find another state of the prompt cache, and round otherwise.
    _, *both = [text(await answer(subject, asked("Tell me a story."))) for _ in range(3)]
    assert both[0] == both[1] != ""


async def test_a_seed_makes_sampling_repeatable_and_matters(subject: Subject) -> None:
    def drawn(seed: int) -> GenerateRequest:
        sampling = Sampling(temperature=1.5, seed=seed, max_tokens=20)
        return asked("Tell me a story.", sampling=sampling)

    await answer(subject, drawn(1))
    first, again = [text(await answer(subject, drawn(1))) for _ in range(2)]
    others = [text(await answer(subject, drawn(seed))) for seed in (2, 3, 4)]
    assert first == again
    assert {first} != {*others}


async def test_max_tokens_is_kept_and_the_cut_is_told(subject: Subject) -> None:
    request = asked(sampling=Sampling(max_tokens=3), json_output=JsonOutput(ENDLESS))
    events = await answer(subject, request)
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert usage.completion_tokens == 3
    assert reason(events) == "length"


async def test_a_stop_sequence_ends_the_answer_and_is_no_part_of_it(subject: Subject) -> None:
    whole = text(await answer(subject, asked("Tell me a story.")))
    whole = text(await answer(subject, asked("Tell me a story.")))
    stop = whole[len(whole) // 2 :][:4]
    sampling = Sampling(temperature=0.0, seed=0, max_tokens=24, stop=(stop,))
    events = await answer(subject, asked("Tell me a story.", sampling=sampling))
    assert text(events).rstrip() == whole[: whole.index(stop)].rstrip()
    assert reason(events) == "stop"


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


async def test_earlier_turns_are_read(subject: Subject) -> None:
    short = await answer(subject, asked("And now?"))
    turns = (Message("user", "My name is Ada."), Message("assistant", "Hello, Ada!"))
    long = await answer(subject, asked(messages=(*turns, Message("user", "And now?"))))

    def prompt(events: Sequence[Event]) -> int:
        [usage] = [event for event in events if isinstance(event, Usage)]
        return usage.prompt_tokens or 0

    assert prompt(long) > prompt(short) + 5


async def test_embeddings_come_in_order_and_equal_texts_are_equal(subject: Subject) -> None:
    texts = ("Rome is a city.", "Twelve.", "Rome is a city.", "Ωμέγα \u2028 🙂")
    found = await subject.engine.embed(EmbedRequest(MODEL, texts, limits=LIMITS))
    first, second, third, _ = found.vectors
    assert {len(vector) for vector in found.vectors} == {len(first)}
    assert len(first) > 16
    assert first == pytest.approx(third, abs=1e-4)
    assert first != pytest.approx(second, abs=1e-2)
    assert found.prompt_tokens is None or found.prompt_tokens > 4


async def test_chat_and_embeddings_at_the_same_time(subject: Subject) -> None:
    embed = EmbedRequest(MODEL, ("Rome is a city.",), limits=LIMITS)
    chats = [answer(subject, asked(f"Tell me story number {n}.")) for n in range(4)]
    found = await asyncio.gather(*chats, *(subject.engine.embed(embed) for _ in range(4)))
    assert all(isinstance(events[-1], Finished) for events in found[:4])  # type: ignore[index]


async def test_a_model_that_is_not_there_is_not_found(subject: Subject) -> None:
    nobody = GenerateRequest("nobody", (Message("user", "Hi."),), sampling=GREEDY, limits=LIMITS)
    if subject.any_name:
        # llama.cpp's server does; the registry asks an engine only for what it lists.
        assert text(await answer(subject, nobody))
        return
    with pytest.raises(ModelNotFound, match="nobody"):
        await answer(subject, nobody)
    with pytest.raises(ModelNotFound, match="nobody"):
        await subject.engine.embed(EmbedRequest("nobody", ("x",), limits=LIMITS))


async def test_a_prompt_that_does_not_fit_is_refused_and_not_cut(subject: Subject) -> None:
    with pytest.raises(ContextLengthExceeded) as refusal:
        await answer(subject, asked("one two three four " * 800))
    assert refusal.value.hint
    assert text(await answer(subject, asked()))


async def test_what_the_engine_cannot_honour_is_refused_by_name(subject: Subject) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"options": {"nonsense": 1}}, "nonsense"),
        ({"think": True}, "think"),
    ]
    for more, name in wrong:
        with pytest.raises(UnsupportedParameter, match=name) as refusal:
            await answer(subject, asked(**more))
        assert refusal.value.param == name
    assert text(await answer(subject, asked(think=False)))


async def test_a_model_is_loaded_and_unloaded_where_the_engine_says_that_it_can(
    subject: Subject,
) -> None:
    engine = subject.engine
    if not (await engine.capabilities(MODEL)).load:
        with pytest.raises(InvalidRequest):
            await engine.load(MODEL)
        with pytest.raises(InvalidRequest):
            await engine.unload(MODEL)
        return
    await engine.load(MODEL)
    assert [model.loaded for model in await engine.models()] == [True]
    await engine.unload(MODEL)
    assert [model.loaded for model in await engine.models()] == [False]
    with pytest.raises(ModelNotFound):
        await engine.load("nobody")
    # And what was let go of comes back by itself.
    assert text(await answer(subject, asked()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads processor times from Linux's /proc")
async def test_closing_the_iterator_stops_the_engine_within_a_second(
    subject: Subject, kind: str
) -> None:
    """What the model's process computes afterwards is little of what a whole answer costs it."""
    pid = subject.pid
    if kind == "embedded":
        # It may have been restarted by the tests before.
        pid = (await subject.engine.supervisor.address()).pid  # type: ignore[attr-defined]

    def long(about: str) -> GenerateRequest:
        sampling = Sampling(temperature=1.0, seed=3, max_tokens=300)
        return asked(about, json_output=JsonOutput(ENDLESS), sampling=sampling)

    await answer(subject, asked())
    before = tree_cpu_s(pid)
    whole = await answer(subject, long("Count."))
    whole_s = tree_cpu_s(pid) - before
    [usage] = [event for event in whole if isinstance(event, Usage)]
    assert (usage.completion_tokens or 0) > 200

    async with aclosing(subject.engine.generate(long("Count again."))) as events:
        seen = 0
        async for event in events:
            seen += isinstance(event, TextDelta)
            if seen == 5:
                break
    left = tree_cpu_s(pid)
    await asyncio.sleep(1)
    after = tree_cpu_s(pid)
    assert after - left < 0.4 * whole_s
    await asyncio.sleep(0.5)
    assert tree_cpu_s(pid) - after < 0.1
