"""Tools: what is calculated is exact and bounded, and nobody's mistake gets further than a word."""

import contextlib
import datetime
import json
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from novasystem.engines.kinds import build_registry
from novasystem.errors import ToolFailed
from novasystem.nova.memory import Memory
from novasystem.nova.tools import Asker, Tools
from novasystem.nova.tools.arithmetic import calculate
from novasystem.settings import Settings
from novasystem.storage.database import Database, database_url
from tests.nova.said import said
from tests.servers.nova import isolated_environment
from tests.storage.databases import address, database, on_postgres, postgres_address

__all__ = ["address", "database", "on_postgres", "postgres_address"]

ASKER = Asker("owner_me", 1, "run_1")


@contextlib.asynccontextmanager
async def made(database: Database) -> AsyncIterator[Tools]:
    registry = build_registry(Settings(embedded="off", ollama_url="off"), {})
    tools = Tools(Memory(database, registry))
    yield tools
    await tools.aclose()
    await registry.aclose()


@pytest.fixture
async def tools(tmp_path: Path) -> AsyncIterator[Tools]:
    """Without anything to remember."""
    nothing = Database(database_url(None, tmp_path))
    async with made(nothing) as tools:
        yield tools
    await nothing.aclose()


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3 + 4", "7"), ("0.1 + 0.2", "0.3"), ("(3 + 4) * 2^10", "7168"), ("-2^2", "-4"),
        ("2^3^2", "512"), ("2**-1", "0.5"), ("1/3*3", "1"), ("1/3", "0.333333333333333"),
        ("7 // 2", "3"), ("-7 // 2", "-4"), ("10 % 4", "2"), ("10 mod 4", "2"), ("sqrt(16)", "4"),
        ("sqrt(2)", "1.4142135623731"), ("0.25^0.5", "0.5"), ("8^(1/3)", "2"), ("1e3", "1000"),
        ("max(1, 2, 3) - min(1, 2)", "2"), ("round(2.345, 2)", "2.35"), ("round(-2.5)", "-3"),
        ("12 \u00d7 3 =", "36"), ("6 \u00f7 4 \u2212 1", "0.5"), ("log10(1000)", "3"),
        ("ln(e)", "1"), ("10^20/3", "3.33333333333333E+19"), ("abs(-3.50)", "3.5"),
        ("(-1)^1000001", "-1"), ("0^0", "1"), (".5 + 1.", "1.5"), ("--1", "1"),
        ("floor(-0.5) + ceil(0.5)", "0"), ("123456789 * 987654321", "121932631112635269"),
    ],
)  # fmt: skip
def test_what_is_calculated(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "empty"), ("2 +", "ends where"), ("2 3", "not expected"), ("(2", "missing"),
        ("2)", "not expected"), ("1/0", "division by zero"), ("5 % 0", "division by zero"),
        ("0^-1", "division by zero"), ("sqrt(-1)", "no such power"), ("log(0)", "no logarithm"),
        ("x", "not known"), ("sqrt(1, 2)", "does not take 2"), ("1, 2", "not expected"),
        ("__import__('os').getcwd()", "cannot be read"), ("a.b", "cannot be read"),
        ("exec", "not known"), ("[1]", "cannot be read"), ("1 if 1 else 2", "not expected"),
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_told(expression: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        calculate(expression)


@pytest.mark.parametrize(
    "expression",
    ["9^9^9", "9^9^9^9", "2^99999", "1e9999", "10^3900 * 10^3900", "(1/3)^5000 * (1/7)^5000",
     "99.99^9999", "0.1^99999", "2^1e400", "(" * 900 + "1", "1" * 1001, "1^" * 499 + "1",
     "sqrt(" * 100 + "2" + ")" * 100, "ln(10^3000)^9999", "round(1, 99999)"],
)  # fmt: skip
def test_what_would_take_long_is_refused_at_once(expression: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match=r"large|long|digits|deep|characters"):
        calculate(expression)
    assert time.process_time() - began < 1


async def test_the_built_in_tools_are_there_and_say_what_they_take(tools: Tools) -> None:
    known = await tools.all()
    assert {"calculator", "current_time", "search_memory"} <= set(known)
    assert {tool.source for tool in known.values()} == {"built in"}
    assert all(tool.repeatable for tool in known.values())
    assert await tools.call("calculator", {"expression": "6 * 7"}, ASKER) == "42"


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("calculator", {}, "'expression' is a required property"),
        ("calculator", {"expression": 5}, "argument 'expression': 5 is not of type 'string'"),
        ("calculator", {"expression": "1", "more": 1}, "'more' was unexpected"),
        ("calculator", {"expression": "1/0"}, "division by zero"),
        ("calculator", {"expression": "1" * 1001}, "is too long"),
        ("current_time", {"timezone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ("current_time", {"timezone": "../../etc/passwd"}, "no time zone"),
        ("current_time", {"timezone": "Europe"}, "no time zone"),
        ("no_such", {}, "no such tool. There are: calculator, current_time, search_memory"),
    ],
)
async def test_what_does_not_fit_is_told_in_words(
    tools: Tools, name: str, arguments: dict[str, object], why: str
) -> None:
    with pytest.raises(ToolFailed) as caught:
        await tools.call(name, arguments, ASKER)
    assert why in str(caught.value)
    assert caught.value.tool == name


async def test_the_time_is_that_of_the_zone(tools: Tools) -> None:
    here = await tools.call("current_time", {}, ASKER)
    there = await tools.call("current_time", {"timezone": "Asia/Tokyo"}, ASKER)
    assert here["timezone"] == "UTC"
    assert there["time"].endswith("+09:00")
    now = datetime.datetime.now(datetime.UTC)
    for said_time in (here, there):
        at = datetime.datetime.fromisoformat(said_time["time"])
        assert abs((at - now).total_seconds()) < 60
        assert said_time["weekday"] == at.strftime("%A")


async def test_the_search_finds_the_askers_own_and_of_this_session_alone_where_asked(
    database: Database,
) -> None:
    (here,) = database.write_now(said, "owner_me", ["My boat is Nixe."], thread_id=uuid.uuid4().hex)
    database.write_now(said, "owner_me", ["My boat is in the harbour."])
    database.write_now(said, "owner_other", ["My boat is theirs."])
    asker = Asker("owner_me", here.thread_key, "run_1")
    async with made(database) as tools:
        found = await tools.call("search_memory", {"query": "boat"}, asker)
        assert {one["text"] for one in found} == {"My boat is Nixe.", "My boat is in the harbour."}
        only = {"query": "boat", "this_session_only": True}
        found = await tools.call("search_memory", only, asker)
    assert [(one["said_by"], one["text"]) for one in found] == [("user", "My boat is Nixe.")]
    assert datetime.datetime.fromisoformat(found[0]["at"]).year >= 2026


PACKAGE = """
from novasystem.nova.tools import Tool

async def call(asker, arguments):
    if arguments.get("fail"):
        raise RuntimeError("the roof is leaking")
    return {"owner": asker.owner_id, **arguments}

PARAMETERS = {"type": "object", "properties": {"fail": {"type": "boolean"}}}
one = Tool("greet", "Greets.", PARAMETERS, call)

def several():
    return [Tool("calculator", "Not this one.", PARAMETERS, call),
            Tool("wave", "Waves.", PARAMETERS, call, repeatable=True)]
"""
ASKS = """
import asyncio
import json
from novasystem.engines.kinds import build_registry
from novasystem.errors import ToolFailed
from novasystem.nova.memory import Memory
from novasystem.nova.tools import Asker, Tools
from novasystem.settings import Settings

async def main():
    registry = build_registry(Settings(embedded="off", ollama_url="off"), {})
    tools = Tools(Memory(None, registry))
    known = await tools.all()
    me = Asker("me", 1, "r")
    found = [sorted((name, tool.source, tool.repeatable) for name, tool in known.items())]
    found.append(dict(tools.problems))
    found.append(await tools.call("greet", {}, me))
    found.append(await tools.call("calculator", {"expression": "1+1"}, me))
    try:
        await tools.call("greet", {"fail": True}, me)
    except ToolFailed as error:
        found.append(str(error))
    await tools.aclose()
    await registry.aclose()
    print(json.dumps(found))

asyncio.run(main())
"""


def test_a_package_adds_tools_and_takes_no_name_that_is_there(tmp_path: Path) -> None:
    installed = tmp_path / "greetings-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
    points = """
        [novasystem.tools]
        one = greetings:one
        several = greetings:several
        broken = greetings:no_such
    """
    (installed / "entry_points.txt").write_text(textwrap.dedent(points))
    (tmp_path / "greetings.py").write_text(PACKAGE)
    environment = {**isolated_environment(tmp_path), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", ASKS],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    known, problems, greeted, calculated, failed = json.loads(done.stdout.splitlines()[-1])
    assert ["calculator", "built in", True] in known
    assert ["greet", "package greetings", False] in known
    assert ["wave", "package greetings", True] in known
    assert "no_such" in problems["package greetings"]
    assert greeted == {"owner": "me"}
    assert calculated == "2"
    assert "the roof is leaking" in failed
