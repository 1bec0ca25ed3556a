"""A kill before and after each commit, and before and after each send, of a whole conversation."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.crash.api import Api
from tests.crash.auditor import audit
from tests.crash.conftest import Place
from tests.crash.data import Data, opened
from tests.crash.faults import WHERE, Fault, Kind, Where
from tests.crash.ledger import Ledger
from tests.crash.servers import Crashing, crashing
from tests.crash.test_random_kills import settings
from tests.crash.users import TOOL, Users
from tests.http.figures import State
from tests.servers.scripted import ScriptedServer
from tests.servers.speaker import MODEL, speaking

_MOST_POINTS = 80
_SETTLE_S = 20.0
# Without these the conversation would not have been through what it is there for.
_COMMITS = {"begin", "end", "go_on", "_write_all"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["commit", "send"])
async def test_a_kill_at_each_point(
    place: Place, scripted: ScriptedServer, state: State, kind: Kind
) -> None:
    speaking(scripted)
    record = place.folder / "points"
    acknowledged = resumed = 0
    hits: Counter[Where] = Counter()
    with (
        crashing(place.folder, settings(scripted, place.environment)) as servers,
        opened(place.url) as data,
    ):
        last_key, at, missed = 0, 1, 0
        while missed < 2:
            missed = 0
            for where in WHERE:
                ledger, hit = await converse(servers, data, Fault(kind, where, at, str(record)))
                hits[where] += hit
                missed += not hit
                runs = data.check_settled(last_key)
                last_key = runs[-1].row.key
                acknowledged += ledger.acknowledged
                resumed += sum(watch.resumed for watch in ledger.watches)
            at += 1
            assert at < _MOST_POINTS, "the conversation does not end"
    names = Counter(passed(record))
    state(f"{place.name}: {hits['before']} kills before and {hits['after']} after a {kind}")
    state(f"{acknowledged} acknowledged, lost 0; run twice 0; {resumed} resumed")
    state(", ".join(sorted(names)))
    assert min(hits.values()) >= 8
    assert resumed
    if kind == "commit":
        assert names.keys() >= _COMMITS, names


def passed(record: Path) -> list[str]:
    return [line.rpartition(".")[2] for line in record.read_text().splitlines()]


async def converse(servers: Crashing, data: Data, fault: Fault) -> tuple[Ledger, bool]:
    """A conversation with a server that dies at that point, carried on with the next one.

    Returns what was acknowledged, and whether the point was come to.
    """
    ledger = Ledger()
    if servers.is_started:
        servers.kill()
    servers.start(fault)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        api = Api(session, servers.port)
        death = asyncio.create_task(asyncio.to_thread(servers.wait_for_death))
        work = asyncio.create_task(_work(api, ledger))
        await asyncio.wait({death, work}, return_when=asyncio.FIRST_COMPLETED)
        hit = death.done() or not work.done()
        if not hit:
            servers.strike()
        await death
        servers.start()
        await work
        until = time.monotonic() + _SETTLE_S
        while data.active():
            assert time.monotonic() < until, servers.said
            await asyncio.sleep(0.01)
        await audit(api, ledger)
    return ledger, hit


async def _work(api: Api, ledger: Ledger) -> None:
    """One thing after the other, so that a point is the same each time."""
    body = {"model": MODEL, "tools": [TOOL]}
    # Only the first of these is counted from: the others are asked again where that broke.
    assistant = await api.until_answered("POST", "/v1/assistants", body, {"x-arm": "1"})
    users = Users(api, ledger, assistant["id"], seed=1)
    await users.stream_tools()
    await users.chat()
    await users.cancel()
