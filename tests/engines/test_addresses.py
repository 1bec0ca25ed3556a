"""Several addresses of one engine: shared work, and one that is down costs nobody an answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest

from novasystem.engines.registry import Pool, Registry
from novasystem.engines.requests import EmbedRequest
from novasystem.errors import (
    EngineUnavailable,
    Overloaded,
)
from tests.engines.asking import LIMITS, text
from tests.engines.catalogue import CHAT, NOWHERE, answer, asked, far, list_models
from tests.servers.answers import Close, Step, json_answer, openai_stream
from tests.servers.scripted import ScriptedServer, scripted_server


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
