"""A server that is killed again and again while everybody works, and what is left of it all."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping

import aiohttp
import pytest

from tests.crash.api import Api
from tests.crash.auditor import audit
from tests.crash.conftest import Place
from tests.crash.data import Data, RunData, opened
from tests.crash.ledger import Ledger
from tests.crash.servers import Crashing, crashing
from tests.crash.users import TOOL, Users
from tests.http.figures import State
from tests.servers.scripted import ScriptedServer
from tests.servers.speaker import MODEL, speaking

KILLS = 100
_SETTLE_S = 20.0


def settings(upstream: ScriptedServer, more: Mapping[str, str]) -> dict[str, str]:
    return {
        "NOVA_EMBEDDED": "off",
        "NOVA_OPENAI_URL": f"{upstream.url}/v1",
        "NOVA_DEFAULT_MODEL": MODEL,
        "NOVA_LOG_LEVEL": "error",
        **more,
    }


@pytest.mark.timeout(900)
async def test_nothing_acknowledged_is_lost_and_nothing_is_done_twice(
    place: Place, scripted: ScriptedServer, state: State
) -> None:
    speaking(scripted)
    acknowledged = resumed = torn = executed = rounds = 0
    ends: Counter[str] = Counter()
    interrupted: Counter[int] = Counter()
    began = time.monotonic()
    with (
        crashing(place.folder, settings(scripted, place.environment)) as servers,
        opened(place.url) as data,
    ):
        last_key = 0
        while servers.kills < KILLS:
            ledger, runs = await one_round(servers, data, last_key, seed=rounds)
            last_key = runs[-1].row.key
            acknowledged += ledger.acknowledged
            resumed += sum(watch.resumed for watch in ledger.watches)
            torn += sum(watch.torn for watch in ledger.watches)
            executed += sum(map(len, ledger.executed.values()))
            ends.update(run.row.status for run in runs)
            interrupted.update(run.row.interruptions for run in runs)
            rounds += 1
        kills = servers.kills
    took_s = time.monotonic() - began
    state(f"{place.name}: {kills} kills in {rounds} rounds, {took_s:.0f} s")
    state(f"{sum(ends.values())} runs {dict(ends)}, by interruptions {dict(interrupted)}")
    state(f"{acknowledged} acknowledged, lost 0; {executed} calls, run twice 0")
    state(f"{resumed} streams resumed, {torn} of them torn in the middle of an answer")
    # The kills have hit what they were meant to hit.
    assert torn > kills / 4
    assert interrupted.total() - interrupted[0] > kills / 4


async def one_round(
    servers: Crashing, data: Data, last_key: int, seed: int
) -> tuple[Ledger, list[RunData]]:
    """Work, up to five kills meanwhile, and the audit of what came of it."""
    moments = random.Random(seed)
    ledger = Ledger()
    if not servers.is_started:
        servers.start()
    timeout = aiohttp.ClientTimeout(total=30)
    async with asyncio.timeout(120), aiohttp.ClientSession(timeout=timeout) as session:
        api = Api(session, servers.port)
        body = {"model": MODEL, "tools": [TOOL]}
        assistant = await api.until_answered("POST", "/v1/assistants", body)
        users = Users(api, ledger, assistant["id"], seed)
        work = asyncio.create_task(users.work())
        for kill in range(moments.randint(1, 5)):
            # Most kills find a server at work, and some one that is only starting.
            if kill % 4 != 3:
                await until_shown(ledger, moments.randint(1, 60))
            await asyncio.sleep(moments.uniform(0, 0.1))
            servers.kill()
            servers.start()
        users.over = True
        await work
        until = time.monotonic() + _SETTLE_S
        while data.active():
            assert time.monotonic() < until, servers.said
            await asyncio.sleep(0.01)
        runs = data.check_settled(last_key)
        await audit(api, ledger)
    known = {run.row.id for run in runs}
    assert ledger.runs.keys() <= known, "a run is gone"
    return ledger, runs


async def until_shown(ledger: Ledger, events: int) -> None:
    """Wait until watchers have seen that many more events, or too long for that."""
    until, goal = time.monotonic() + 3, ledger.shown + events
    while ledger.shown < goal and time.monotonic() < until:  # noqa: ASYNC110  (a count)
        await asyncio.sleep(0.005)
