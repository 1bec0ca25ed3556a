"""A kill before and after each commit, and before and after each send, of a whole conversation."""

import asyncio
import time
from collections import Counter
from itertools import pairwise
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

_MOST = 80
_SETTLE_S = 20.0
# Without these the conversation would not have been through what it is there for.
_COMMITS = {
    "sqlite": {"begin", "end", "go_on", "_write_all"},
    "postgres": {"begin", "end", "go_on", "open_joined", "end_joined", "_write_joined"},
}


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
        last_key, missed = 0, 0
        points = [Fault(kind, where, at, str(record)) for at in range(1, _MOST) for where in WHERE]
        servers.start(points[0])
        for point, following in pairwise(points):
            ledger, hit = await converse(servers, data, kind, following)
            hits[point.where] += hit
            # The end was passed with both of a pair, and not by a send that was one with another.
            missed = 0 if hit else missed + 1
            runs = data.check_settled(last_key)
            last_key = runs[-1].row.key
            acknowledged += ledger.acknowledged
            resumed += sum(watch.resumed for watch in ledger.watches)
            if missed == 2:
                break
    assert missed == 2, "the conversation does not end"
    names = Counter(passed(record))
    state(f"{place.name}: {hits['before']} kills before and {hits['after']} after a {kind}")
    state(f"{acknowledged} acknowledged, lost 0; run twice 0; {resumed} resumed")
    state(", ".join(sorted(names)))
    assert min(hits.values()) >= 8
    assert resumed
    if kind == "commit":
        assert names.keys() >= _COMMITS[place.name], names


def passed(record: Path) -> list[str]:
    return [line.rpartition(".")[2] for line in record.read_text().splitlines()]


async def converse(
    servers: Crashing, data: Data, kind: Kind, following: Fault
) -> tuple[Ledger, bool]:
    """A conversation with a server that dies at its point, carried on with the next server.

    That one has a point of its own, which counts from the next conversation on. Returns what was
    acknowledged, and whether the point was come to.
    """
    ledger = Ledger()
    timeout = aiohttp.ClientTimeout(total=30)
    async with asyncio.timeout(120), aiohttp.ClientSession(timeout=timeout) as session:
        api = Api(session, servers.port)
        death = asyncio.create_task(asyncio.to_thread(servers.wait_for_death))
        work = asyncio.create_task(_work(api, ledger, kind))
        await asyncio.wait({death, work}, return_when=asyncio.FIRST_COMPLETED)
        hit = death.done() or not work.done()
        if not hit:
            servers.strike()
        await death
        servers.start(following)
        await work
        until = time.monotonic() + _SETTLE_S
        while data.active():
            assert time.monotonic() < until, servers.said
            await asyncio.sleep(0.01)
        await audit(api, ledger)
    return ledger, hit


async def _work(api: Api, ledger: Ledger, kind: Kind) -> None:
    """One thing after the other, so that a point is the same each time."""
    body = {"model": MODEL, "tools": [TOOL]}
    await api.ask("GET", "/health", headers={"x-arm": "1"})
    assistant = await api.until_answered("POST", "/v1/assistants", body)
    users = Users(api, ledger, assistant["id"], seed=1)
    await users.stream_tools()
    await users.chat()
    if kind == "commit":
        # Its user asks how it goes, as often as it takes: each time with other sends.
        await users.cancel()
