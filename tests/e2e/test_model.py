"""nova-tiny, out of the package, through every door: as a new user tries it."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama as ollama_client
import openai
import pytest
from openai import OpenAI

from tests.completions.asking import TOOL
from tests.http.figures import State
from tests.http.wire import ask
from tests.servers.nova import NovaServer, nova_server
from tests.servers.ollama import OllamaServer

MODEL = "nova-tiny"
tool: Any = TOOL


@pytest.fixture
def client(nova: NovaServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{nova.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readme_s_own_question_gets_a_right_answer_by_curl(nova: NovaServer) -> None:
    asked = ["-H", "content-type: application/json", "-d", '{"message":"What is 2+3?"}']
    done = subprocess.run(
        ["curl", "-sN", f"{nova.url}/api/v1/chat", *asked],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    events = [
        dict(line.split(": ", 1) for line in event.split("\n")) for event in split(done.stdout)
    ]
    assert [event["event"] for event in events[:-1]] == ["chunk"] * (len(events) - 1)
    assert events[-1]["event"] == "done"
    text = "".join(json.loads(event["data"])["content"] for event in events[:-1])
    assert "5" in text
    assert json.loads(events[-1]["data"])["usage"]["tokens"] >= len(events) - 1


def split(text: str) -> list[str]:
    return text.removesuffix("\n\n").split("\n\n")


@pytest.mark.parametrize(("a", "b"), [(2, 3), (4, 4), (7, 1), (12, 30)])
def test_the_official_client_streams_right_sums(client: OpenAI, a: int, b: int) -> None:
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": f"What is {a}+{b}?"}],
        stream=True,
        temperature=0,
    )
    assert str(a + b) in "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def test_a_seed_gives_the_same_answer_again_and_another_seed_another(client: OpenAI) -> None:
    def answer(seed: int) -> str:
        said = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Tell me a short story."}],
            seed=seed,
            temperature=1.5,
            max_tokens=40,
        )
        return said.choices[0].message.content or ""

    assert answer(1) == answer(1)
    assert len({answer(seed) for seed in range(5)}) > 1


def test_temperature_zero_is_not_lost(client: OpenAI) -> None:
    def answer() -> str:
        said = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Tell me a short story."}],
            temperature=0,
            max_tokens=40,
        )
        return said.choices[0].message.content or ""

    assert len({answer() for _ in range(5)}) == 1


def test_max_tokens_and_stop_end_an_answer(client: OpenAI) -> None:
    def ended(**parameters: Any) -> tuple[str, str]:
        choice = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Tell me a short story."}],
            temperature=0,
            **parameters,
        ).choices[0]
        return choice.finish_reason, choice.message.content or ""

    reason, whole = ended(max_tokens=30)
    short_reason, short = ended(max_tokens=3)
    assert short_reason == "length"
    assert whole.startswith(short)
    letter = next(letter for letter in whole[1:] if letter.isalpha())
    reason, cut = ended(stop=[letter], max_tokens=30)
    assert (reason, cut) == ("stop", whole[: whole.index(letter)])


def test_a_schema_binds_the_answer(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}, "sure": {"type": "boolean"}},
        "required": ["colour", "sure"],
        "additionalProperties": False,
    }
    said = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Which colour is the sky?"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "colour", "schema": schema, "strict": True},
        },
        temperature=0,
    )
    value = json.loads(said.choices[0].message.content or "")
    assert value["colour"] in {"red", "blue"}
    assert isinstance(value["sure"], bool)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_made_where_one_is_asked_for(client: OpenAI, stream: bool) -> None:
    asked: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "What is the weather in Oslo?"}],
        "tools": [tool],
        "tool_choice": "required",
        "temperature": 0,
        "max_tokens": 300,
    }
    if stream:
        with client.chat.completions.stream(**asked) as streamed:
            message = streamed.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(**asked).choices[0].message
    assert message.tool_calls
    function = message.tool_calls[0].function
    assert function.name == "get_weather"
    assert isinstance(json.loads(function.arguments)["city"], str)


def test_most_calls_have_the_right_argument(client: OpenAI, state: State) -> None:
    """How good the model is stands in its card; here it is only good enough to be of use."""
    cities = ["Paris", "Lisbon", "Berlin", "Madrid", "Rome"]
    right = 0
    for city in cities:
        message = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": f"What is the weather in {city}?"}],
            tools=[tool],
            tool_choice="required",
            temperature=0,
            max_tokens=100,
        ).choices[0]
        calls = message.message.tool_calls or []
        right += any(f'\\"{city}\\"' in call.model_dump_json() for call in calls)
    state(f"{right} of {len(cities)} calls name the city that was asked about")
    assert right >= 3


def test_the_model_is_listed_and_found(client: OpenAI) -> None:
    assert MODEL in {model.id for model in client.models.list()}
    model = client.models.retrieve(MODEL)
    assert (model.id, model.owned_by) == (MODEL, "embedded")
    assert model.created > 1_700_000_000


def test_embeddings_are_the_same_in_both_forms_and_tell_texts_apart(client: OpenAI) -> None:
    texts = ["A cat sat.", "A cat sat.", "Seven plus two."]
    default = client.embeddings.create(model=MODEL, input=texts)
    numbers = client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    for ours, theirs in zip(default.data, numbers.data, strict=True):
        assert ours.embedding == pytest.approx(theirs.embedding, abs=1e-4)
    first, same, other = (row.embedding for row in numbers.data)
    assert dot(first, first) == pytest.approx(1, abs=1e-3)
    assert dot(first, same) > 0.999 > dot(first, other)
    assert default.usage.prompt_tokens > 0


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_a_conversation_that_is_too_long_says_so(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "seven " * 2000}]
        )
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.ollama
def test_ollama_says_the_same_to_its_own_client_and_through_our_door(
    ollama: OllamaServer, tmp_path: Path
) -> None:
    turns = [{"role": "user", "content": "What is 2+3?"}]
    options = {"temperature": 0, "seed": 7, "num_predict": 24}
    with contextlib.closing(ollama_client.Client(host=ollama.base_url)) as own:
        direct = own.chat(model=ollama.model, messages=turns, options=options).message.content
        parts = own.chat(model=ollama.model, messages=turns, options=options, stream=True)
        assert "".join(part.message.content or "" for part in parts) == direct
    with nova_server(tmp_path, {"NOVA_OLLAMA_URL": ollama.base_url}) as server:
        listed = {
            m["id"]: m["owned_by"] for m in ask(server.port, "GET", "/v1/models").json["data"]
        }
        assert listed[MODEL] == "embedded"
        assert "ollama" in listed.values()
        asked = {"model": f"ollama/{MODEL}", "messages": turns, "temperature": 0, "seed": 7}
        asked |= {"max_tokens": 24}
        answer = ask(server.port, "POST", "/v1/chat/completions", asked).json
        assert answer["choices"][0]["message"]["content"] == direct
        assert answer["model"] == f"ollama/{MODEL}"
        with OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            streamed = client.chat.completions.create(**asked, stream=True)  # type: ignore[call-overload]
            texts = [chunk.choices[0].delta.content or "" for chunk in streamed]
        assert "".join(texts) == direct
