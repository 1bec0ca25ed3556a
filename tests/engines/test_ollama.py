"""Ollama over a scripted server: what the real one cannot be made to do at will."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from novasystem.engines.ollama import OllamaEngine
from novasystem.engines.requests import EmbedRequest, GenerateRequest, Message, Tool
from novasystem.errors import EngineProtocolError, ModelNotFound, UnsupportedParameter
from tests.engines.asking import LIMITS, OLLAMA, collect, failure, text
from tests.servers.answers import json_answer, ollama_stream
from tests.servers.scripted import ScriptedServer

INFO = {"general.architecture": "llama", "llama.context_length": 2048}


@pytest.fixture
async def engine(scripted: ScriptedServer) -> AsyncIterator[OllamaEngine]:
    engine = OllamaEngine("ollama", scripted.url)
    yield engine
    await engine.aclose()


def listing(scripted: ScriptedServer, *names: str, running: tuple[str, ...] = ()) -> None:
    models = [{"name": name, "digest": name} for name in names]
    scripted.on("GET", "/api/tags", json_answer(200, {"models": models}))
    loaded = [{"name": name} for name in running]
    scripted.on("GET", "/api/ps", json_answer(200, {"models": loaded}))


def shown(scripted: ScriptedServer, **fields: object) -> None:
    scripted.on("POST", "/api/show", json_answer(200, {"model_info": INFO, **fields}))


def asked(**more: Any) -> GenerateRequest:
    return GenerateRequest("m", (Message("user", "Hi"),), limits=LIMITS, **more)


async def test_models_are_told_without_latest_and_with_their_window(
    scripted: ScriptedServer, engine: OllamaEngine
) -> None:
    listing(scripted, "a:latest", "b:7b", running=("b:7b",))
    shown(scripted, capabilities=["completion"])
    first, second = await engine.models()
    assert (first.name, first.loaded, first.context_tokens) == ("a", False, 2048)
    assert (second.name, second.loaded) == ("b:7b", True)
    # A window that was set for the model is the one that counts.
    engine = OllamaEngine("ollama", scripted.url)
    shown(scripted, parameters="stop  x\nnum_ctx    512\n")
    assert [model.context_tokens for model in await engine.models()] == [512, 512]
    await engine.aclose()


@pytest.mark.parametrize("status", [404, 500, 400, 503])
async def test_one_model_that_is_broken_does_not_hide_the_others(
    scripted: ScriptedServer, engine: OllamaEngine, status: int
) -> None:
    """It may have been deleted between the two questions."""
    listing(scripted, "a")
    scripted.on("POST", "/api/show", json_answer(status, {"error": "model 'a' not found"}))
    [model] = await engine.models()
    assert (model.name, model.context_tokens, model.capabilities) == ("a", None, ())


async def test_a_model_is_described_once_and_again_when_it_changed(
    scripted: ScriptedServer, engine: OllamaEngine
) -> None:
    listing(scripted, "a")
    shown(scripted)
    await engine.models()
    await engine.models()
    assert sum(seen.path == "/api/show" for seen in scripted.seen) == 1
    changed = {"models": [{"name": "a", "digest": "new"}]}
    scripted.on("GET", "/api/tags", json_answer(200, changed))
    await engine.models()
    assert sum(seen.path == "/api/show" for seen in scripted.seen) == 2


@pytest.mark.parametrize(
    ("says", "tools", "thinks", "chats"),
    [
        (["completion", "tools", "thinking"], "native", True, True),
        (["completion"], "constrained", False, True),
        (["embedding"], "constrained", False, False),
        (None, "native", True, True),
    ],
    ids=["all", "text alone", "embeddings alone", "before 0.6.4"],
)
async def test_capabilities_are_those_that_ollama_names(
    scripted: ScriptedServer,
    engine: OllamaEngine,
    says: list[str] | None,
    tools: str,
    thinks: bool,
    chats: bool,
) -> None:
    shown(scripted, **({"capabilities": says} if says is not None else {}))
    found = await engine.capabilities("m")
    assert (found.tools, found.reasoning_switch, found.chat) == (tools, thinks, chats)
    # It takes tool_choice, and ignores it.
    assert not found.tool_choice
    assert found.load


async def test_a_window_larger_than_the_models_is_refused(
    scripted: ScriptedServer, engine: OllamaEngine
) -> None:
    shown(scripted, capabilities=["completion"])
    scripted.on("POST", OLLAMA.path, ollama_stream(["x"]))
    _, error = await failure(engine, asked(options={"num_ctx": 4096}))
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "num_ctx"
    assert text(await collect(engine, asked(options={"num_ctx": 2048}))) == "x"
    assert OLLAMA.requests(scripted)[-1].json["options"] == {"num_ctx": 2048}


async def test_native_tools_are_sent_where_nothing_is_forced(
    scripted: ScriptedServer, engine: OllamaEngine
) -> None:
    shown(scripted, capabilities=["completion", "tools"])
    scripted.on("POST", OLLAMA.path, ollama_stream(["x"]))
    await collect(engine, asked(tools=(Tool("f"),)))
    assert "tools" in OLLAMA.requests(scripted)[-1].json


async def test_unloading_waits_until_the_model_is_gone(
    scripted: ScriptedServer, engine: OllamaEngine
) -> None:
    """Ollama answers before: the next run would not be the cold one that was asked for."""
    scripted.on("POST", OLLAMA.path, json_answer(200, {"done": True}))
    there = json_answer(200, {"models": [{"name": "m:latest"}]})
    scripted.on("GET", "/api/ps", there, there, json_answer(200, {"models": []}))
    await engine.unload("m")
    assert [seen.path for seen in scripted.seen] == [OLLAMA.path, *["/api/ps"] * 3]
    assert scripted.seen[0].json["keep_alive"] == 0
    assert scripted.seen[0].json["messages"] == []


async def test_loading_what_is_not_there_is_not_found(
    scripted: ScriptedServer, engine: OllamaEngine
) -> None:
    scripted.on("POST", OLLAMA.path, json_answer(404, {"error": "model 'm' not found"}))
    with pytest.raises(ModelNotFound, match="'m'"):
        await engine.load("m")


@pytest.mark.parametrize(
    "body",
    [[], {}, None, {"embeddings": 3}, {"embeddings": []}, {"embeddings": [["x"]]},
     {"embeddings": [None]}, {"data": [{"embedding": [1]}]}],
    ids=str,
)  # fmt: skip
async def test_embeddings_that_are_none_are_a_protocol_error(
    scripted: ScriptedServer, engine: OllamaEngine, body: object
) -> None:
    scripted.on("POST", "/api/embed", json_answer(200, body))
    with pytest.raises(EngineProtocolError, match="without the embeddings"):
        await engine.embed(EmbedRequest("m", ("x",), limits=LIMITS))


async def test_a_text_to_embed_is_refused_rather_than_cut(
    scripted: ScriptedServer, engine: OllamaEngine
) -> None:
    scripted.on("POST", "/api/embed", json_answer(200, {"embeddings": [[1, 2]]}))
    found = await engine.embed(EmbedRequest("m", ("x",), dimensions=2, limits=LIMITS))
    assert (found.vectors, found.prompt_tokens) == (((1.0, 2.0),), None)
    assert scripted.seen[-1].json["truncate"] is False
    assert scripted.seen[-1].json["dimensions"] == 2
