"""A generation that was begun before its turn was stored counts only where it still fits it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.engine import Connection

from novasystem.chat.head_start import HeadStarts
from novasystem.engines.events import TextDelta
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.registry import Pool, Registry
from novasystem.engines.requests import TimeLimits
from novasystem.errors import EngineRejected
from novasystem.runs import store as run_store
from novasystem.runs.records import NewRun
from novasystem.storage.database import Database, database_url
from novasystem.storage.migrate import upgrade
from novasystem.threads import store
from novasystem.threads.records import Item, NewItem
from tests.http.doors import COMPLETIONS
from tests.servers.answers import Stall, json_answer, openai_stream
from tests.servers.scripted import ScriptedServer

THREAD, OWNER, RUN = "a" * 32, "local", "run_1"


class Starting:
    """A turn that is being begun on a thread of two messages."""

    def __init__(self, database: Database, upstream: ScriptedServer, registry: Registry) -> None:
        self.database = database
        self.upstream = upstream
        self.heads = HeadStarts(database, registry, TimeLimits())
        self.add("Hi.")
        self.add("Hello!")
        upstream.on("POST", COMPLETIONS, openai_stream(["well"]))

    def add(self, text: str) -> Item:
        def write(connection: Connection) -> Item:
            thread = store.create(connection, THREAD, OWNER)
            [item] = store.add(connection, thread.key, [NewItem("message", text, role="user")])
            return item

        return self.database.write_now(write)

    async def begin(self) -> None:
        await self.heads.begin(RUN, OWNER, THREAD, "More.", "m", new=False)

    async def sees(self, fact: Callable[[ScriptedServer], object]) -> None:
        await asyncio.to_thread(self.upstream.wait_for, fact)

    @property
    def shown(self) -> list[list[str]]:
        """What the engine was asked with, each time."""
        asked = [seen for seen in self.upstream.seen if seen.path == COMPLETIONS]
        return [[m["content"] for m in seen.json["messages"]] for seen in asked]


@pytest_asyncio.fixture
async def starting(scripted: ScriptedServer, tmp_path: Path) -> AsyncIterator[Starting]:
    model = {"id": "m", "object": "model", "created": 7, "owned_by": "vllm"}
    scripted.on("GET", "/v1/models", json_answer(200, {"object": "list", "data": [model]}))
    registry = Registry([Pool("vllm", [OpenAIEngine("vllm", f"{scripted.url}/v1")])])
    database = Database(database_url(None, tmp_path))
    upgrade(database, tmp_path / "backups")
    yield Starting(database, scripted, registry)
    await registry.aclose()
    await database.aclose()


async def test_it_is_taken_where_the_turn_was_stored_as_expected(starting: Starting) -> None:
    await starting.begin()
    item = starting.add("More.")
    starting.heads.stored(RUN, item)
    taken = await starting.heads.take(RUN)
    assert taken is not None
    assert taken.shown.items[-1] == item
    async with aclosing(taken.events) as events:
        said = [event.text async for event in events if isinstance(event, TextDelta)]
    assert said == ["well"]
    assert starting.shown == [["Hi.", "Hello!", "More."]]
    assert await starting.heads.take(RUN) is None


@pytest.mark.parametrize("stored", [True, False])
async def test_it_is_void_and_stopped_where_the_thread_has_changed(
    starting: Starting, stored: bool
) -> None:
    starting.upstream.on("POST", COMPLETIONS, [*openai_stream(["well"])[:2], Stall()])
    await starting.begin()
    if stored:
        starting.add("Somebody else's.")
        starting.heads.stored(RUN, starting.add("More."))
    assert await starting.heads.take(RUN) is None
    await starting.sees(lambda server: server.seen[-1].client_left_at_ns)


async def test_it_is_stopped_where_nobody_takes_it(starting: Starting) -> None:
    starting.upstream.on("POST", COMPLETIONS, [Stall()])
    await starting.begin()
    await starting.sees(lambda _: starting.shown)
    starting.heads.drop(RUN)
    starting.heads.drop(RUN)
    assert await starting.heads.take(RUN) is None
    await starting.sees(lambda server: server.seen[-1].client_left_at_ns)


async def test_nothing_is_asked_while_a_run_holds_the_thread(starting: Starting) -> None:
    def hold(connection: Connection) -> None:
        thread = store.create(connection, THREAD, OWNER)
        run_store.insert(connection, NewRun("chat", OWNER, {}, thread.key, THREAD))

    starting.database.write_now(hold)
    await starting.begin()
    assert await starting.heads.take(RUN) is None
    assert starting.shown == []


async def test_what_the_engine_refuses_is_the_turn_s_own_failure(starting: Starting) -> None:
    starting.upstream.on("POST", COMPLETIONS, json_answer(500, {"error": {"message": "no"}}))
    await starting.begin()
    starting.heads.stored(RUN, starting.add("More."))
    with pytest.raises(EngineRejected):
        await starting.heads.take(RUN)
    assert len(starting.shown) == 1
