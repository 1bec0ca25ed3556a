"""Compatible servers differ: what each takes is told by its flavour, and tried where it must be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from novasystem.engines.openai_http import OpenAIEngine, split_address
from novasystem.engines.protocol import Capabilities
from novasystem.engines.requests import (
    EmbedRequest,
    GenerateRequest,
    Message,
    Sampling,
    Tool,
    ToolChoice,
)
from novasystem.errors import (
    ConfigurationError,
    EngineProtocolError,
    EngineUnavailable,
    InvalidRequest,
    UnsupportedParameter,
)
from tests.engines.asking import LIMITS, OPENAI, collect, failure
from tests.servers.answers import Close, Step, json_answer, openai_chunk, openai_stream, sse
from tests.servers.scripted import ScriptedServer

TOOLS = (Tool("weather"), Tool("time"))
CALL = {"index": 0, "id": "1", "function": {"name": "time", "arguments": "{}"}}
CALLED = sse(openai_chunk({"tool_calls": [CALL]}), openai_chunk({}, finish="tool_calls"))
PROSE = openai_stream(["It is sunny."])
RUNS_ON = openai_stream(["It is", " sunny"], finish="length")
JSON = openai_stream(['{"name": "time", "arguments": {}}'])


def asked(choice: ToolChoice | None = None, **more: Any) -> GenerateRequest:
    if choice is not None:
        more |= {"tools": TOOLS, "tool_choice": choice}
    return GenerateRequest("m", (Message("user", "Hi"),), limits=LIMITS, **more)


@asynccontextmanager
async def server_of(
    scripted: ScriptedServer,
    owner: str,
    *answers: list[Step],
    caps: bool = True,
    tools: Literal["native", "constrained"] | None = None,
) -> AsyncIterator[OpenAIEngine]:
    """An engine of a server that calls itself ``owner`` and gives these answers."""
    models = {"data": [{"id": "m", "owned_by": owner, "meta": {"n_ctx_train": 512}}]}
    scripted.on("GET", "/v1/models", json_answer(200, models))
    props = {"chat_template": "x", "chat_template_caps": {"supports_tools": caps}}
    scripted.on("GET", "/props", json_answer(200, props))
    scripted.on("POST", OPENAI.path, *(answers or (PROSE,)))
    engine = OpenAIEngine("far", scripted.url, tools=tools)
    try:
        yield engine
    finally:
        await engine.aclose()


def bodies(scripted: ScriptedServer) -> list[dict[str, Any]]:
    return [seen.json for seen in OPENAI.requests(scripted)]


@pytest.mark.parametrize(
    ("owner", "takes", "refuses"),
    [
        ("llamacpp", {"top_k", "min_p"}, set()),
        ("vllm", {"top_k", "min_p"}, set()),
        ("sglang", {"top_k", "min_p"}, set()),
        ("organization_owner", {"top_k"}, {"min_p"}),
        ("somebody", {"seed"}, {"top_k", "min_p", "repeat_penalty"}),
    ],
)
async def test_the_server_is_told_by_how_it_describes_its_models(
    scripted: ScriptedServer, owner: str, takes: set[str], refuses: set[str]
) -> None:
    async with server_of(scripted, owner) as engine:
        sampling = (await engine.capabilities("m")).sampling
        assert takes <= sampling
        assert refuses.isdisjoint(sampling)
        for name in refuses:
            _, error = await failure(engine, asked(sampling=Sampling(**{name: 1})))  # type: ignore[arg-type]
            assert isinstance(error, UnsupportedParameter)
            assert error.param == name
        assert bodies(scripted) == []


async def test_a_parameter_goes_under_the_servers_own_name(scripted: ScriptedServer) -> None:
    request = asked(sampling=Sampling(repeat_penalty=1.1), options={"min_tokens": 3})
    async with server_of(scripted, "vllm") as engine:
        await collect(engine, request)
    [body] = bodies(scripted)
    assert (body["repetition_penalty"], body["min_tokens"]) == (1.1, 3)


@pytest.mark.parametrize(("owner", "is_object"), [("llamacpp", False), ("vllm", True)])
async def test_a_named_choice_is_sent_so_that_the_server_keeps_it(
    scripted: ScriptedServer, owner: str, is_object: bool
) -> None:
    """llama.cpp ignores an object, with a line in its log: it gets that tool alone."""
    async with server_of(scripted, owner, CALLED) as engine:
        await collect(engine, asked(ToolChoice("required", "time")))
    body = bodies(scripted)[-1]
    names = [tool["function"]["name"] for tool in body["tools"]]
    if is_object:
        assert body["tool_choice"] == {"type": "function", "function": {"name": "time"}}
        assert names == ["weather", "time"]
    else:
        assert (body["tool_choice"], names) == ("required", ["time"])


async def tried(
    scripted: ScriptedServer, trial: list[Step], then: list[Step], choice: ToolChoice
) -> tuple[Capabilities, list[dict[str, Any]]]:
    """What llama.cpp is believed to do after this trial, and what it was sent."""
    async with server_of(scripted, "llamacpp", trial, then) as engine:
        before = await engine.capabilities("m")
        assert (before.tools, bodies(scripted)) == ("native", [])
        for _ in range(3):
            await collect(engine, asked(choice))
        return await engine.capabilities("m"), bodies(scripted)


async def test_tools_that_get_called_stay_native_and_are_tried_once(
    scripted: ScriptedServer,
) -> None:
    found, sent = await tried(scripted, CALLED, CALLED, ToolChoice("required"))
    assert (found.tools, found.tool_choice) == ("native", True)
    assert [len(body["tools"]) for body in sent] == [1, 2, 2, 2]
    trial = sent[0]
    assert (trial["tool_choice"], trial["temperature"]) == ("required", 0.0)
    assert trial["max_tokens"] < 100


@pytest.mark.parametrize("choice", [ToolChoice(), ToolChoice("required")], ids=["auto", "required"])
async def test_tools_that_are_answered_in_prose_are_constrained(
    scripted: ScriptedServer, choice: ToolChoice
) -> None:
    """A template of which llama.cpp could make no parser."""
    found, sent = await tried(scripted, PROSE, JSON, choice)
    assert found.tools == "constrained"
    assert ["response_format" in body for body in sent] == [False, True, True, True]
    assert "tools" not in sent[-1]


async def test_an_error_to_the_trial_means_constrained_too(scripted: ScriptedServer) -> None:
    refusal = json_answer(500, {"error": {"message": "no parser"}})
    found, sent = await tried(scripted, refusal, JSON, ToolChoice("required"))
    assert found.tools == "constrained"
    assert len(sent) == 4


async def test_where_prose_runs_on_only_a_forced_call_is_constrained(
    scripted: ScriptedServer,
) -> None:
    found, sent = await tried(scripted, RUNS_ON, JSON, ToolChoice("required"))
    assert (found.tools, found.tool_choice) == ("native", False)
    assert "response_format" in sent[-1]
    async with server_of(scripted, "llamacpp", RUNS_ON, PROSE) as engine:
        await collect(engine, asked(ToolChoice()))
    assert bodies(scripted)[-1]["tool_choice"] == "auto"


async def test_a_trial_that_did_not_reach_the_server_proves_nothing(
    scripted: ScriptedServer,
) -> None:
    async with server_of(scripted, "llamacpp", [Close()], CALLED) as engine:
        await engine.models()
        scripted.on("POST", OPENAI.path, [Close()], [Close()], CALLED)
        _, error = await failure(engine, asked(ToolChoice("required")))
        assert isinstance(error, EngineUnavailable)
        await collect(engine, asked(ToolChoice("required")))
        assert (await engine.capabilities("m")).tools == "native"


@pytest.mark.parametrize(
    ("owner", "caps", "tools"),
    [("vllm", True, None), ("llamacpp", False, None), ("llamacpp", True, "native"),
     ("llamacpp", True, "constrained")],
    ids=["another server", "template without tools", "set native", "set constrained"],
)  # fmt: skip
async def test_nothing_is_tried_where_it_is_known(
    scripted: ScriptedServer, owner: str, caps: bool, tools: Any
) -> None:
    native = tools == "native" or owner == "vllm"
    answer = CALLED if native else JSON
    async with server_of(scripted, owner, answer, caps=caps, tools=tools) as engine:
        await collect(engine, asked(ToolChoice("required")))
        await collect(engine, asked()) if native else None
    sent = bodies(scripted)
    assert len(sent[0].get("tools", [])) == (2 if native else 0)


async def test_the_name_of_a_model_is_quoted_in_a_query(scripted: ScriptedServer) -> None:
    async with server_of(scripted, "llamacpp") as engine:
        await engine.capabilities("org/m&x=1#y z")
    assert scripted.seen[-1].query == "model=org/m%26x%3D1%23y%20z"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://h:8000", ("http://h:8000", "/v1")),
        ("http://h:8000/", ("http://h:8000", "/v1")),
        ("https://h/v1/", ("https://h", "/v1")),
        ("http://h/api/openai", ("http://h", "/api/openai")),
        ("http://[::1]:80", ("http://[::1]:80", "/v1")),
    ],
)
def test_an_address_without_a_path_has_its_api_under_v1(
    address: str, expected: tuple[str, str]
) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["", "h", "h:80", "ftp://h", "http://", "http://h:x", "http:h"])
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(ConfigurationError, match="not an address"):
        split_address(address)


@pytest.mark.parametrize(
    "body",
    [[], {}, None, {"data": 3}, {"data": []}, {"data": [{"index": 0}]},
     {"data": [{"index": 0, "embedding": "x"}]}, {"data": [{"index": "x", "embedding": [1]}]},
     {"data": [{"index": 0, "embedding": ["x"]}]}, {"embeddings": [[1]]}],
    ids=str,
)  # fmt: skip
async def test_embeddings_that_are_none_are_a_protocol_error(
    scripted: ScriptedServer, body: object
) -> None:
    scripted.on("POST", "/v1/embeddings", json_answer(200, body))
    async with server_of(scripted, "vllm") as engine:
        with pytest.raises(EngineProtocolError, match="without the embeddings"):
            await engine.embed(EmbedRequest("m", ("x",), limits=LIMITS))


async def test_embeddings_come_back_in_the_order_of_the_texts(scripted: ScriptedServer) -> None:
    rows = [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}]
    answer = {"data": rows, "usage": {"prompt_tokens": 5}}
    scripted.on("POST", "/v1/embeddings", json_answer(200, answer))
    async with server_of(scripted, "vllm") as engine:
        found = await engine.embed(EmbedRequest("m", ("a", "b"), dimensions=2, limits=LIMITS))
    assert found.vectors == ((1.0, 2.0), (3.0, 4.0))
    assert found.prompt_tokens == 5
    assert scripted.seen[-1].json["dimensions"] == 2


async def test_loading_on_demand_is_refused(scripted: ScriptedServer) -> None:
    async with server_of(scripted, "vllm") as engine:
        assert not (await engine.capabilities("m")).load
        for act in (engine.load, engine.unload):
            with pytest.raises(InvalidRequest, match="on demand"):
                await act("m")
