"""From a model's name to the engine that answers, over real engines of scripted servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from novasystem.engines.registry import Pool, Registry
from novasystem.errors import (
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
)
from tests.engines.asking import OPENAI, text
from tests.engines.catalogue import CHAT, NOWHERE, answer, far, list_models
from tests.servers.answers import json_answer, openai_stream
from tests.servers.scripted import ScriptedServer, scripted_server


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


async def test_the_engine_is_asked_under_its_own_name_for_the_model() -> None:
    async with registry_of({"far": ["m"]}, aliases={"gpt-4": "far/m"}) as (registry, servers):
        assert text(await answer(registry, "gpt-4")) == "from far"
        assert servers["far"].seen[-1].path == OPENAI.path
        assert servers["far"].seen[-1].json["model"] == "m"
