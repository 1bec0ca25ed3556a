"""From a model's name to the engine that answers, over real engines of scripted servers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest

from novasystem.engines.events import Event
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.protocol import Engine
from novasystem.engines.registry import Pool, Registry
from novasystem.engines.requests import EmbedRequest, GenerateRequest, Message
from novasystem.errors import (
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
)
from tests.engines.asking import LIMITS, OPENAI, text
from tests.servers.answers import Close, Step, json_answer, openai_stream
from tests.servers.scripted import ScriptedServer, scripted_server

NOWHERE = "http://127.0.0.1:1"
CHAT = "/v1/chat/completions"


def list_models(server: ScriptedServer, *names: str) -> None:
    data = [{"id": name} for name in names]
    server.on("GET", "/v1/models", json_answer(200, {"data": data}, keep_alive=False))


def far(name: str, url: str) -> Engine:
    return OpenAIEngine(name, url, flavour="openai")


@asynccontextmanager
async def registry_of(
    models: Mapping[str, Sequence[str] | None],
    *,
    aliases: Mapping[str, str] | None = None,
    reserved: Mapping[str, str] | None = None,
    default: str = "nova-tiny",
    quiet: Sequence[str] = (),
) -> AsyncIterator[tuple[Registry, dict[str, ScriptedServer]]]:
    """A registry of engines with these models; ``None`` for one that does not run."""
    async with contextlib.AsyncExitStack() as stack:
        servers: dict[str, ScriptedServer] = {}
        pools = []
        for name, names in models.items():
            url = NOWHERE
            if names is not None:
                servers[name] = server = stack.enter_context(scripted_server())
                list_models(server, *names)
                server.on("POST", CHAT, openai_stream([f"from {name}"]))
                url = server.url
            pools.append(Pool(name, [far(name, url)], expected=name not in quiet))
        registry = Registry(pools, aliases=aliases, reserved=reserved, default_model=default)
        stack.push_async_callback(registry.aclose)
        yield registry, servers


def asked(model: str) -> GenerateRequest:
    return GenerateRequest(model, (Message("user", "Hi"),), limits=LIMITS)


async def answer(registry: Registry, model: str) -> list[Event]:
    async with aclosing(registry.generate(asked(model))) as events:
        return [event async for event in events]


NAMES = {
    "near": ["nova-tiny", "shared", "only-near"],
    "far": ["shared", "org/model", "far/odd", "llama3.2", "nova-tiny", "tagged:7b"],
}


@pytest.mark.parametrize(
    ("asked_for", "engine", "model"),
    [
        ("only-near", "near", "only-near"),
        ("near/only-near", "near", "only-near"),
        ("near/shared", "near", "shared"),
        ("far/shared", "far", "shared"),
        ("llama3.2", "far", "llama3.2"),
        ("llama3.2:latest", "far", "llama3.2"),
        ("far/llama3.2:latest", "far", "llama3.2"),
        ("tagged:7b", "far", "tagged:7b"),
        ("org/model", "far", "org/model"),
        ("far/org/model", "far", "org/model"),
        ("far/odd", "far", "far/odd"),
        ("gpt-4", "far", "llama3.2"),
        ("mine", "near", "shared"),
        (None, "near", "nova-tiny"),
        ("nova-tiny", "near", "nova-tiny"),
        ("far/nova-tiny", "far", "nova-tiny"),
        ("near/nova-tiny", "near", "nova-tiny"),
    ],
)
async def test_a_name_leads_to_one_engines_model(
    asked_for: str | None, engine: str, model: str
) -> None:
    aliases = {"gpt-4": "llama3.2", "mine": "near/shared"}
    async with registry_of(NAMES, aliases=aliases, reserved={"nova-tiny": "near"}) as (registry, _):
        found = await registry.resolve(asked_for)
        assert (found.pool.name, found.model) == (engine, model)


async def test_every_name_that_is_shown_can_be_asked_for() -> None:
    async with registry_of(NAMES, reserved={"nova-tiny": "near"}) as (registry, _):
        shown = await registry.models()
        assert set(shown) == {
            "nova-tiny", "near/shared", "only-near", "far/shared", "org/model", "far/odd",
            "llama3.2", "far/nova-tiny", "tagged:7b",
        }  # fmt: skip
        for name, model in shown.items():
            found = await registry.resolve(name)
            assert (found.pool.name, found.model) == (model.engine, model.name)


async def test_a_name_that_two_engines_have_is_refused_with_the_choices() -> None:
    async with registry_of(NAMES) as (registry, servers):
        with pytest.raises(InvalidRequest, match="Several engines") as refusal:
            await answer(registry, "shared")
        assert refusal.value.param == "model"
        assert "near/shared" in refusal.value.hint
        assert "far/shared" in refusal.value.hint
        assert all(seen.method == "GET" for server in servers.values() for seen in server.seen)


async def test_a_reserved_name_never_leads_elsewhere() -> None:
    """Not even where its own engine is off or does not run: a default must not change silently."""
    reserved = {"nova-tiny": "embedded"}
    async with registry_of({"far": ["nova-tiny"]}, reserved=reserved) as (registry, _):
        assert set(await registry.models()) == {"far/nova-tiny"}
        with pytest.raises(ModelNotFound, match="switched off"):
            await registry.resolve(None)
    down = {"far": ["nova-tiny"], "embedded": None}
    async with registry_of(down, reserved=reserved) as (registry, _):
        with pytest.raises(EngineUnavailable):
            await answer(registry, "nova-tiny")


async def test_an_unknown_name_is_refused_with_those_that_are_there_and_engines_that_are_down() -> (
    None
):
    models = {"near": ["a", "b"], "gone": None, "quiet": None}
    aliases = {"gpt-4": "missing"}
    async with registry_of(models, aliases=aliases, quiet=["quiet"]) as (registry, _):
        with pytest.raises(ModelNotFound, match="'nope'") as refusal:
            await registry.resolve("nope")
        assert "a, b" in refusal.value.hint
        assert "'gone' does not answer" in refusal.value.hint
        # An Ollama that was merely looked for is not worth a word.
        assert "quiet" not in refusal.value.hint
        with pytest.raises(ModelNotFound, match="'gpt-4' is an alias of 'missing'"):
            await registry.resolve("gpt-4")
        with pytest.raises(EngineUnavailable, match="'gone'"):
            await registry.resolve("gone/llama")


async def test_an_engine_that_came_up_meanwhile_is_found() -> None:
    async with registry_of({"near": ["a"]}) as (registry, servers):
        await registry.resolve("a")
        list_models(servers["near"], "a", "new")
        with pytest.raises(ModelNotFound):
            await registry.resolve("new")
        await registry.refresh(0)
        assert (await registry.resolve("new")).model == "new"
        list_models(servers["near"])
        await registry.refresh(0)
        assert registry.pools["near"].problem is None
        with pytest.raises(ModelNotFound, match="No engine has any model"):
            await registry.resolve("new")


async def test_a_problem_that_is_over_is_forgotten() -> None:
    """Also where the engine comes back without any model."""
    async with registry_of({"near": []}) as (registry, servers):
        servers["near"].on("GET", "/v1/models", json_answer(500, {"error": "boom"}))
        # Nothing answers at all: what is wrong is not the name.
        with pytest.raises(EngineRejected, match="boom"):
            await registry.resolve("a")
        list_models(servers["near"])
        await registry.refresh(0)
        with pytest.raises(ModelNotFound) as refusal:
            await registry.resolve("a")
        assert "boom" not in str(refusal.value)


async def test_many_that_ask_at_once_look_once() -> None:
    async with registry_of({"near": ["a"]}) as (registry, servers):
        await asyncio.gather(*(registry.models() for _ in range(20)))
        assert len(servers["near"].seen) == 1


@asynccontextmanager
async def two_addresses(
    first: Sequence[Step] | None,
    second: Sequence[Step],
    *,
    max_concurrent: int = 256,
    max_queued: int = 1024,
) -> AsyncIterator[tuple[Registry, list[ScriptedServer]]]:
    """One engine with two addresses that both list the model; ``None``: the first goes down."""
    with scripted_server() as a, scripted_server() as b:
        for server, steps in ((a, first), (b, second)):
            list_models(server, "m")
            server.on("POST", CHAT, steps or [])
            server.on("POST", "/v1/embeddings", json_answer(200, EMBEDDED))
        urls = [a.url if first is not None else NOWHERE, b.url]
        engines = [far("e", url) for url in urls]
        pool = Pool("e", engines, max_concurrent=max_concurrent, max_queued=max_queued)
        registry = Registry([pool])
        try:
            yield registry, [a, b]
        finally:
            await registry.aclose()


EMBEDDED = {"data": [{"index": 0, "embedding": [1, 2]}], "usage": {"prompt_tokens": 1}}


def chats(server: ScriptedServer) -> int:
    return sum(seen.path == CHAT for seen in server.seen)


async def test_of_two_addresses_the_least_loaded_is_asked() -> None:
    slow = openai_stream(["x"], pause_s=0.15)
    async with two_addresses(slow, slow) as (registry, servers):
        await asyncio.gather(*(answer(registry, "m") for _ in range(10)))
        assert [chats(server) for server in servers] == [5, 5]


async def test_where_one_address_is_down_the_other_answers_and_the_first_is_left_alone() -> None:
    async with two_addresses(None, openai_stream(["x"])) as (registry, [_, up]):
        pool = registry.pools["e"]
        await registry.models()
        # Both were there a moment ago: now one is found down while it is asked.
        pool.places[0].models = dict(pool.places[1].models)
        for _ in range(6):
            assert text(await answer(registry, "m")) == "x"
        assert chats(up) == 6
        assert pool.places[0].down_until > time.monotonic()
        assert pool.gate.active == 0
        embedded = await registry.embed(EmbedRequest("m", ("x",), limits=LIMITS))
        assert embedded.vectors == ((1.0, 2.0),)


async def test_embeddings_go_to_the_other_address_too() -> None:
    async with two_addresses(None, openai_stream(["x"])) as (registry, _):
        pool = registry.pools["e"]
        await registry.models()
        pool.places[0].models = dict(pool.places[1].models)
        embedded = await registry.embed(EmbedRequest("m", ("x",), limits=LIMITS))
        assert embedded.prompt_tokens == 1


async def test_what_may_have_been_heard_is_not_said_to_another_address() -> None:
    async with two_addresses([Close()], [Close()]) as (registry, servers):
        with pytest.raises(EngineUnavailable):
            await answer(registry, "m")
        assert sorted(chats(server) for server in servers) == [0, 1]


async def test_where_all_addresses_are_down_the_error_says_so() -> None:
    pool = Pool("e", [far("e", NOWHERE), far("e", "http://127.0.0.1:2")])
    registry = Registry([pool], reserved={"m": "e"})
    try:
        with pytest.raises(EngineUnavailable, match="does not answer"):
            await answer(registry, "m")
    finally:
        await registry.aclose()
    assert pool.gate.active == 0


async def test_the_queue_of_an_engine_is_bounded_and_every_place_comes_back() -> None:
    slow = openai_stream(["x"], pause_s=0.1)
    async with two_addresses(slow, slow, max_concurrent=2, max_queued=3) as (registry, servers):
        await registry.models()
        done = await asyncio.gather(
            *(answer(registry, "m") for _ in range(9)), return_exceptions=True
        )
        assert sum(isinstance(one, Overloaded) for one in done) == 4
        assert sum(isinstance(one, list) for one in done) == 5
        assert sum(chats(server) for server in servers) == 5
        # A consumer that leaves and an engine that fails give their places back as well.
        async with aclosing(registry.generate(asked("m"))) as events:
            await anext(events)
        servers[0].on("POST", CHAT, [Close()])
        servers[1].on("POST", CHAT, [Close()])
        with pytest.raises(EngineUnavailable):
            await answer(registry, "m")
        gate = registry.pools["e"].gate
        assert (gate.active, gate.queued) == (0, 0)


async def test_health_tells_addresses_apart() -> None:
    async with two_addresses(None, []) as (registry, _):
        health = await registry.health()
    assert {name: one.ok for name, one in health.items()} == {"e[0]": False, "e[1]": True}


async def test_the_engine_is_asked_under_its_own_name_for_the_model() -> None:
    async with registry_of({"far": ["m"]}, aliases={"gpt-4": "far/m"}) as (registry, servers):
        assert text(await answer(registry, "gpt-4")) == "from far"
        assert servers["far"].seen[-1].path == OPENAI.path
        assert servers["far"].seen[-1].json["model"] == "m"
