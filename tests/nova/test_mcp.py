"""Tools of MCP servers: real ones, over a program's pipes and over HTTP, and what can go wrong."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from novasystem.engines.kinds import build_registry
from novasystem.errors import ConfigurationError, ToolFailed
from novasystem.nova.memory import Memory
from novasystem.nova.tools import Asker, Tools
from novasystem.settings import McpServer, Settings, load_settings
from novasystem.storage.database import Database, database_url
from tests.servers.nova import isolated_environment

PROGRAM = Path(__file__).with_name("mcp_program.py")
ASKER = Asker("owner_me", 1, "run_1")
STDIO = McpServer(
    command=sys.executable, args=(str(PROGRAM), "stdio"), env={"GIVEN": "here"}, timeout_s=60
)


@contextlib.asynccontextmanager
async def opened(folder: Path, **servers: McpServer) -> AsyncIterator[Tools]:
    settings = Settings(embedded="off", ollama_url="off", mcp=servers)
    registry = build_registry(settings, {})
    database = Database(database_url(None, folder))
    tools = Tools(Memory(database, registry), settings.mcp, {"TOKEN": "secret"})
    try:
        yield tools
    finally:
        await tools.aclose()
        await registry.aclose()
        await database.aclose()


async def called(tools: Tools, name: str, /, **arguments: Any) -> Any:
    return await tools.call(name, arguments, ASKER)


def gone(pid: int, within_s: float = 20) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


async def test_a_program_is_started_once_asked_and_ended_with_us(tmp_path: Path) -> None:
    children = set(psutil.Process().children())
    async with opened(tmp_path, here=STDIO) as tools:
        assert set(psutil.Process().children()) == children, "nothing is started before its need"
        known = await tools.all()
        assert known["here_add"].source == "mcp here"
        assert known["here_add"].description == "Adds two whole numbers."
        assert known["here_add"].parameters["required"] == ["a", "b"]
        # What only reads can be asked again after an interruption.
        assert (known["here_add"].repeatable, known["here_count"].repeatable) == (True, False)
        assert "calculator" in known
        assert tools.problems == {}
        assert await called(tools, "here_add", a=17, b=25) == 42
        assert await called(tools, "here_point") == {"x": 1, "y": 2}
        at_once = await asyncio.gather(*(called(tools, "here_count") for _ in range(5)))
        assert sorted(at_once) == [1, 2, 3, 4, 5]
        pid = await called(tools, "here_pid")
    assert gone(pid)


async def test_it_gets_no_variable_but_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVA_API_KEYS", "secret")
    async with opened(tmp_path, here=STDIO) as tools:
        assert await called(tools, "here_variable", name="NOVA_API_KEYS") == ""
        assert await called(tools, "here_variable", name="GIVEN") == "here"


async def test_what_fails_there_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path, here=STDIO) as tools:
        with pytest.raises(ToolFailed, match="fail"):
            await called(tools, "here_fail", why="no luck")
        # Looked at here, before anything is sent.
        with pytest.raises(ToolFailed, match="argument 'a': 'x' is not of type 'integer'"):
            await called(tools, "here_add", a="x", b=1)
        with pytest.raises(ToolFailed, match="'b' is a required property"):
            await called(tools, "here_add", a=1)
        assert await called(tools, "here_add", a=1, b=1) == 2


async def test_one_that_dies_is_started_again_and_no_call_made_twice(tmp_path: Path) -> None:
    async with opened(tmp_path, here=STDIO) as tools:
        first = await called(tools, "here_pid")
        assert await called(tools, "here_count") == 1
        with pytest.raises(ToolFailed, match="Whether it did what was asked is not known"):
            await called(tools, "here_die", mark=str(tmp_path / "mark"))
        assert (tmp_path / "mark").read_text() == "x"
        assert gone(first)
        second = await called(tools, "here_pid")
        assert second != first
        os.kill(second, signal.SIGKILL)
        assert gone(second)
        # It only reads, so it may be asked of the next one, whenever the death is noticed.
        assert await called(tools, "here_add", a=2, b=2) == 4
        assert await called(tools, "here_count") == 1


# Begins in no time, and answers everything but a call.
SLEEPER = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked or asked["method"] == "tools/call":
        continue
    answer = {"jsonrpc": "2.0", "id": asked["id"]}
    if asked["method"] == "initialize":
        info = {"name": "sleeper", "version": str(os.getpid())}
        answer["result"] = {"protocolVersion": asked["params"]["protocolVersion"],
                            "capabilities": {"tools": {}}, "serverInfo": info}
    elif asked["method"] == "tools/list":
        tool = {"name": "sleep", "description": str(os.getpid()), "inputSchema": {"type": "object"}}
        answer["result"] = {"tools": [tool]}
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
"""


async def test_a_call_that_takes_too_long_ends(tmp_path: Path) -> None:
    slow = McpServer(command=sys.executable, args=("-c", SLEEPER), timeout_s=3)
    async with opened(tmp_path, here=slow) as tools:
        pid = int((await tools.all())["here_sleep"].description)
        began = time.monotonic()
        with pytest.raises(ToolFailed, match="did not answer within 3 s"):
            await called(tools, "here_sleep")
        assert time.monotonic() - began < 20
        # It is alive, and asked again.
        assert int((await tools.all())["here_sleep"].description) == pid
    assert gone(pid)


async def test_a_call_that_is_cancelled_leaves_the_others_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, here=STDIO) as tools:
        await tools.all()
        waiting = asyncio.create_task(called(tools, "here_wait", seconds=0.5))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await called(tools, "here_add", a=1, b=2) == 3


async def test_those_that_are_down_are_named_and_the_others_are_there(tmp_path: Path) -> None:
    python = sys.executable
    async with opened(
        tmp_path,
        here=STDIO,
        missing=McpServer(command="/no/such/program"),
        broken=McpServer(command=python, args=("-c", "import sys; sys.exit('no configuration')")),
        silent=McpServer(command=python, args=("-c", "input(); input()"), timeout_s=0.5),
        nobody=McpServer(url="http://127.0.0.1:9/mcp"),
    ) as tools:
        known = await tools.all()
        assert "here_add" in known
        assert "calculator" in known
        assert sorted(tools.problems) == ["broken", "missing", "nobody", "silent"]
        assert "No such file" in tools.problems["missing"]
        assert "no configuration" in tools.problems["broken"]
        assert "within 0.5 s" in tools.problems["silent"]
        # Nobody waits for them again at once.
        began = time.monotonic()
        await tools.all()
        assert time.monotonic() - began < 1
        with pytest.raises(ToolFailed, match="no such tool"):
            await called(tools, "missing_add", a=1, b=2)


@contextlib.contextmanager
def http_server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "http", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        process.kill()
        process.wait()


async def test_a_server_over_http_is_asked_and_its_death_is_told(tmp_path: Path) -> None:
    with http_server() as (url, process):
        there = McpServer(url=url, token_env="TOKEN", timeout_s=60)
        async with opened(tmp_path, there=there) as tools:
            assert await called(tools, "there_add", a=20, b=22) == 42
            assert await called(tools, "there_pid") == process.pid
            process.kill()
            process.wait()
            with pytest.raises(ToolFailed, match="there"):
                await called(tools, "there_count")


def test_what_it_started_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    """Its standard input ends, which is the order to leave."""
    script = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.nova.test_mcp import STDIO, called, opened
from pathlib import Path

async def main():
    async with opened(Path({str(tmp_path)!r}), here=STDIO) as tools:
        print(await called(tools, "here_pid"), flush=True)
        await asyncio.sleep(100)

asyncio.run(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=isolated_environment(tmp_path), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        with process.stdout:
            pid = int(process.stdout.readline())
        assert psutil.pid_exists(pid)
    finally:
        process.kill()
        process.wait()
    assert gone(pid)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("", "either a command or a url"),
        ('command = "x"\nurl = "http://127.0.0.1/"', "either a command or a url"),
        ('url = "file:///x"', "not an address"),
        ('url = "http://127.0.0.1/"\nargs = ["x"]', "belong to a command"),
        ('command = "x"\ntoken_env = "T"', "belongs to a url"),
        ('comand = "x"', "Did you mean 'command'"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path: Path, table: str, why: str) -> None:
    file = tmp_path / "nova.toml"
    file.write_text(f"[mcp.notes]\n{table}")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config=file, environment={"NOVA_CONFIG_DIR": str(tmp_path / "none")})
    assert why in str(caught.value)


async def test_a_token_that_is_not_set_stops_the_start(tmp_path: Path) -> None:
    there = McpServer(url="http://127.0.0.1:9/mcp", token_env="NOT_SET")
    with pytest.raises(ConfigurationError, match="NOT_SET"):
        async with opened(tmp_path, there=there):
            pass
