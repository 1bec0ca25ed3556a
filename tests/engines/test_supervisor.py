"""The child process that runs llama.cpp: one, ours alone, and never left behind."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from novasystem.engines.supervisor import ChildAddress, ChildConfig, Supervisor
from novasystem.errors import EngineUnavailable
from tests.engines.children import alive, eventually, of_process, started_at_s, tcp_sockets

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="looks at the child through Linux's /proc"
)

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 3}


@pytest.fixture
def config(weights: Path) -> ChildConfig:
    return ChildConfig(weights, "m", context_tokens=512, slots=1, threads=1)


@pytest.fixture
async def supervisor(config: ChildConfig) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor("embedded", config)
    yield supervisor
    await supervisor.stop()


def folder_of(address: ChildAddress) -> Path:
    assert address.unix_socket is not None
    return Path(address.unix_socket).parent


async def restarted(supervisor: Supervisor, before: ChildAddress) -> ChildAddress:
    async with asyncio.timeout(30):
        while True:
            address = await supervisor.address()
            if address is not before:
                return address
            await asyncio.sleep(0.01)


async def test_it_starts_when_it_is_first_needed_and_only_once(supervisor: Supervisor) -> None:
    assert not supervisor.running
    addresses = await asyncio.gather(*(supervisor.address() for _ in range(5)))
    assert supervisor.running
    assert len({address.pid for address in addresses}) == 1
    assert alive(addresses[0].pid)


async def test_stop_leaves_no_process_and_no_folder_and_it_can_be_used_again(
    supervisor: Supervisor,
) -> None:
    first = await supervisor.address()
    await supervisor.stop()
    assert not supervisor.running
    assert not alive(first.pid)
    assert not folder_of(first).exists()
    await asyncio.sleep(0.3)
    # An end that was asked for is no crash: nothing restarts it.
    assert not supervisor.running
    second = await supervisor.address()
    assert alive(second.pid)
    # Each start has a key and a place of its own.
    assert second.api_key != first.api_key
    assert second.unix_socket != first.unix_socket


async def test_one_that_dies_is_started_again_and_its_folder_is_removed(
    supervisor: Supervisor,
) -> None:
    first = await supervisor.address()
    os.kill(first.pid, signal.SIGKILL)
    assert await supervisor.died(first) == "was ended by SIGKILL"
    # By itself: nobody has asked for it.
    async with asyncio.timeout(30):
        while not supervisor.running:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    second = await supervisor.address()
    assert alive(second.pid)
    assert not folder_of(first).exists()
    assert (supervisor.restarts, supervisor.last_exit) == (1, "was ended by SIGKILL")
    assert await supervisor.died(second, within_s=0.05) is None


async def test_one_that_keeps_dying_is_started_less_and_less_often(
    supervisor: Supervisor,
) -> None:
    starts: list[float] = []
    address = await supervisor.address()
    for _ in range(3):
        starts.append(started_at_s(address.pid))
        os.kill(address.pid, signal.SIGKILL)
        address = await restarted(supervisor, address)
    starts.append(started_at_s(address.pid))
    assert starts[2] - starts[1] >= 0.45
    assert starts[3] - starts[2] >= 0.95


async def test_stopping_does_not_wait_for_a_restart_that_is_put_off(
    supervisor: Supervisor,
) -> None:
    address = await supervisor.address()
    for _ in range(3):
        os.kill(address.pid, signal.SIGKILL)
        address = await restarted(supervisor, address)
    # The next one would come after 2 s, counted from this start.
    os.kill(address.pid, signal.SIGKILL)
    await supervisor.died(address)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        await supervisor.stop()
    assert not supervisor.running


async def test_whoever_stops_waiting_does_not_stop_the_start(supervisor: Supervisor) -> None:
    hasty = asyncio.create_task(supervisor.address())
    patient = asyncio.create_task(supervisor.address())
    await asyncio.sleep(0.05)
    hasty.cancel()
    address = await patient
    assert alive(address.pid)
    assert supervisor.restarts == 0
    assert hasty.cancelled()


async def test_a_start_that_is_stopped_tells_those_who_wait(config: ChildConfig) -> None:
    supervisor = Supervisor("embedded", config)
    waiting = asyncio.create_task(supervisor.address())
    await asyncio.sleep(0.05)
    await supervisor.stop()
    with pytest.raises(EngineUnavailable, match="stopped while it started"):
        await waiting


async def test_nobody_else_can_reach_it(supervisor: Supervisor) -> None:
    address = await supervisor.address()
    assert stat.S_IMODE(folder_of(address).stat().st_mode) == 0o700
    assert folder_of(address).stat().st_uid == os.getuid()
    # And it listens nowhere else.
    assert tcp_sockets(address.pid) == set()


async def test_the_key_lies_nowhere_where_others_may_look(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVA_API_KEYS", "canary-of-the-server")
    address = await supervisor.address()
    assert len(address.api_key) >= 32
    for name in ("cmdline", "environ"):
        said = of_process(address.pid, name)
        assert address.api_key.encode() not in said
        assert b"canary-of-the-server" not in said
    assert address.api_key.encode() not in of_process(os.getpid(), "environ")


@pytest.mark.parametrize("key", ["", "Bearer wrong"])
async def test_without_its_key_nothing_is_answered(supervisor: Supervisor, key: str) -> None:
    address = await supervisor.address()
    headers = {"Authorization": key} if key else {}
    connector = aiohttp.UnixConnector(address.unix_socket or "", force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        for path in ("/v1/chat/completions", "/v1/embeddings", "/completion", "/tokenize"):
            async with session.post(address.url + path, json=CHAT) as answer:
                assert answer.status == 401, path


async def test_its_own_page_slots_metrics_and_cors_are_off(supervisor: Supervisor) -> None:
    address = await supervisor.address()
    headers = {"Authorization": f"Bearer {address.api_key}", "Origin": "http://evil.example"}
    connector = aiohttp.UnixConnector(address.unix_socket or "", force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        for path in ("/", "/index.html", "/slots", "/metrics"):
            async with session.get(address.url + path) as answer:
                assert answer.status in {404, 501}, path
        async with session.post(address.url + "/props", json={}) as answer:
            assert answer.status in {404, 501}
        async with session.post(address.url + "/v1/chat/completions", json=CHAT) as answer:
            assert answer.status == 200
            assert "http://evil.example" not in str(answer.headers)
            assert answer.headers.get("Access-Control-Allow-Origin") in {None, ""}


PARENT = """
import asyncio, json, sys
from pathlib import Path
from novasystem.engines.supervisor import ChildConfig, Supervisor

async def main():
    config = ChildConfig(Path(sys.argv[1]), "m", context_tokens=512, slots=1, threads=1)
    address = await Supervisor("embedded", config).address()
    print(json.dumps([address.pid, address.unix_socket]), file=sys.stderr, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_it_does_not_outlive_its_parent(weights: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(weights)],
        # Its log goes to standard output.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as parent:
        try:
            assert parent.stderr is not None
            child, socket = json.loads(parent.stderr.readline())
        finally:
            parent.send_signal(number)
    assert eventually(lambda: not alive(child))
    assert eventually(lambda: not Path(socket).parent.exists())
