"""The official ``openai`` client, sync and async, works with our doors as with OpenAI's."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.completions.asking import TOOL, WEATHER_CALL
from tests.http.doors import Door
from tests.servers.answers import (
    Stall,
    head,
    json_answer,
    openai_chunk,
    openai_stream,
    sse,
)

TURN: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi."}]
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
tool: Any = TOOL


@pytest.fixture
def client(door: Door) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{door.server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
async def aclient(door: Door) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{door.server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_a_whole_answer(door: Door, client: OpenAI) -> None:
    door.answers(openai_stream(["Hel", "lo"], usage=USAGE))
    said = client.chat.completions.create(model="scripted", messages=TURN, temperature=0, n=1)
    assert said.choices[0].message.content == "Hello"
    assert said.choices[0].finish_reason == "stop"
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.total_tokens) == (5, 7)
    assert door.asked[0].json["temperature"] == 0


def test_a_streamed_answer_with_usage(door: Door, client: OpenAI) -> None:
    door.answers(openai_stream(["Hel", "lo"], usage=USAGE))
    chunks = list(
        client.chat.completions.create(
            model="scripted", messages=TURN, stream=True, stream_options={"include_usage": True}
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == "Hello"
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1].usage is not None
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 2)


async def test_the_async_client_does_both(door: Door, aclient: AsyncOpenAI) -> None:
    door.answers(openai_stream(["Hel", "lo"]))
    whole = await aclient.chat.completions.create(model="scripted", messages=TURN)
    stream = await aclient.chat.completions.create(model="scripted", messages=TURN, stream=True)
    parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert whole.choices[0].message.content == "".join(parts) == "Hello"


def test_the_client_s_own_accumulator_takes_our_stream(door: Door, client: OpenAI) -> None:
    pieces = [openai_chunk({"tool_calls": [piece]}) for piece in WEATHER_CALL]
    door.answers(sse(*pieces, openai_chunk({}, finish="tool_calls")))
    with client.chat.completions.stream(model="scripted", messages=TURN, tools=[tool]) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.done" in kinds
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.name == "get_weather"
    assert message.tool_calls[0].function.arguments == '{"city": "Oslo"}'


def test_a_call_and_its_answer_over_two_turns(door: Door, client: OpenAI) -> None:
    pieces = [openai_chunk({"tool_calls": [piece]}) for piece in WEATHER_CALL]
    called = sse(*pieces, openai_chunk({}, finish="tool_calls"))
    door.answers(called, openai_stream(["Cold."]))
    create = client.chat.completions.create
    message = create(model="scripted", messages=TURN, tools=[tool]).choices[0].message
    assert message.tool_calls
    # As the client's own documentation does it: the whole message goes back as it came.
    again: list[Any] = [*TURN, message]
    again.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "-5"})
    said = create(model="scripted", messages=again, tools=[tool])
    assert said.choices[0].message.content == "Cold."
    sent = door.asked[1].json["messages"]
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"city": "Oslo"}'
    assert sent[2] == {"role": "tool", "content": "-5", "tool_call_id": "call_1"}


def test_our_own_parameters_go_through_extra_body(door: Door, client: OpenAI) -> None:
    door.answers(openai_stream(["a"]))
    client.chat.completions.create(model="scripted", messages=TURN, extra_body={"top_k": 1})
    assert door.asked[0].json["top_k"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_refusals_are_the_client_s_own_exceptions(door: Door, client: OpenAI, stream: bool) -> None:
    door.answers(openai_stream(["a"]))

    def create(**parameters: Any) -> None:
        client.chat.completions.create(
            **{"model": "scripted", "messages": TURN, "stream": stream, **parameters}
        )

    with pytest.raises(openai.BadRequestError) as bad:
        create(n=2)
    assert (bad.value.param, bad.value.code) == ("n", "unsupported_parameter")
    with pytest.raises(openai.NotFoundError) as absent:
        create(model="absent")
    assert absent.value.code == "model_not_found"
    assert "scripted" in absent.value.message
    with pytest.raises(openai.UnprocessableEntityError) as malformed:
        create(temperature=9)
    assert malformed.value.param == "temperature"


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_s_failure_before_the_first_token_has_its_status(
    door: Door, client: OpenAI, stream: bool
) -> None:
    cases: list[tuple[int, int]] = [(500, 502), (429, 429), (400, 400)]
    for engines, ours in cases:
        door.answers(json_answer(engines, {"error": {"message": "no luck"}}))
        with pytest.raises(openai.APIStatusError, match="no luck") as failed:
            client.chat.completions.create(model="scripted", messages=TURN, stream=stream)
        assert failed.value.status_code == ours
        assert isinstance(failed.value.body, dict)
        assert set(failed.value.body) == {"message", "type", "param", "code"}
    assert failed.value.request_id


def test_a_busy_engine_is_tried_again_by_the_client(door: Door) -> None:
    refusal = json_answer(429, {"error": {"message": "busy"}})
    door.answers(refusal, openai_stream(["at last"]))
    with OpenAI(base_url=f"{door.server.url}/v1", api_key="none", max_retries=1) as client:
        said = client.chat.completions.create(model="scripted", messages=TURN)
    assert said.choices[0].message.content == "at last"


def test_a_failure_in_mid_stream_is_an_api_error_with_its_code(door: Door, client: OpenAI) -> None:
    broken = sse(openai_chunk({"content": "a"}), {"error": {"message": "no memory"}}, done=False)
    door.answers(broken)
    stream = client.chat.completions.create(model="scripted", messages=TURN, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "a"]
    with pytest.raises(openai.APIError, match="no memory") as failed:
        next(stream)
    assert failed.value.code == "engine_rejected"


async def test_leaving_a_stream_stops_the_generation(door: Door, aclient: AsyncOpenAI) -> None:
    begun = openai_stream(["a"], finish=None, done=False)
    door.answers([*begun[:-1], Stall()])
    stream = await aclient.chat.completions.create(model="scripted", messages=TURN, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    left_at_ns = time.perf_counter_ns()
    await stream.close()
    assert await asyncio.to_thread(door.left_after_s, left_at_ns) < 1


async def test_cancelling_a_whole_answer_stops_the_generation(
    door: Door, aclient: AsyncOpenAI
) -> None:
    door.answers([head(content_type="text/event-stream"), Stall()])
    create = aclient.chat.completions.create(model="scripted", messages=TURN)
    asking = asyncio.create_task(create)
    await door.upstream.until(lambda upstream: door.asked)
    left_at_ns = time.perf_counter_ns()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert await asyncio.to_thread(door.left_after_s, left_at_ns) < 1


def test_the_list_of_models_and_each_of_them(client: OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert set(listed) == {"scripted", "org/named", "gpt-4"}
    for name, model in listed.items():
        assert model.object == "model"
        assert (model.owned_by, model.created) == ("openai", 7)
        assert client.models.retrieve(name) == model
    with pytest.raises(openai.NotFoundError, match="absent") as absent:
        client.models.retrieve("absent/one")
    assert absent.value.code == "model_not_found"


def test_embeddings_in_the_client_s_default_form_and_as_numbers(door: Door, client: OpenAI) -> None:
    vectors = [[0.5, -0.25, 1e-3], [1.0, 0.0, 3.0]]
    rows = [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    door.answers()
    door.upstream.on(
        "POST", "/v1/embeddings", json_answer(200, {"data": rows[::-1], "usage": usage})
    )
    create = client.embeddings.create
    default = create(model="scripted", input=["a", "b"])
    numbers = create(model="scripted", input=["a", "b"], encoding_format="float")
    assert [row.embedding for row in numbers.data] == vectors
    for ours, theirs in zip(default.data, vectors, strict=True):
        assert ours.embedding == pytest.approx(theirs, rel=1e-6)
    assert [row.index for row in default.data] == [0, 1]
    assert default.usage.prompt_tokens == 4
    assert default.model == "scripted"


@pytest.mark.parametrize(
    ("asked", "status", "param"),
    [
        ({"input": [1, 2, 3]}, 400, "input"),
        ({"input": [[1], [2]]}, 400, "input"),
        ({"input": []}, 400, None),
        ({"input": ""}, 400, None),
        ({"input": ["a", ""]}, 400, None),
        ({"input": "a", "extra_body": {"truncate": True}}, 400, "truncate"),
        ({"input": "a", "dimensions": 0}, 422, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, 422, "encoding_format"),
        ({"input": "a", "model": "absent"}, 404, None),
    ],
    ids=repr,
)
def test_embeddings_that_cannot_be_made_are_refused(
    client: OpenAI, asked: dict[str, Any], status: int, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.embeddings.create(**{"model": "scripted", **asked})
    assert (refused.value.status_code, refused.value.param) == (status, param)
