"""What tests of ``nova bench`` share: an engine with scripted answers, and short ways to ask."""

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from novasystem.benchmarks.sample_log import read_log
from novasystem.benchmarks.samples import Sample
from tests.cli.command import Command
from tests.cli.preloaded import Preloaded, Starter, starter
from tests.servers.answers import openai_stream
from tests.servers.scripted import ScriptedServer, Seen

__all__ = ["ANSWER", "COMPLETIONS", "USAGE", "asked", "bench", "listed", "logged", "measure",
           "shown", "until", "until_asked", "waiting"]  # fmt: skip

COMPLETIONS = "/v1/chat/completions"
USAGE = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
ANSWER = ["2+2 ", "is ", "4."]


@pytest.fixture(scope="module")
def waiting() -> Iterator[Starter]:
    with starter() as found:
        yield found


@pytest.fixture
def bench(asking: Command, scripted: ScriptedServer, waiting: Starter) -> Preloaded:
    scripted.on("POST", COMPLETIONS, openai_stream(ANSWER, usage=USAGE, pause_s=0.01))
    return Preloaded(asking.folder, asking.environment, waiting)


def measure(command: Command, *more: str, code: int = 0) -> dict[str, Any]:
    arguments = ("run", "-p", "What is 2+2?", "--json", *more)
    found: dict[str, Any] = json.loads(command.run("bench", *arguments, code=code).stdout)
    return found


def measure_undisturbed(command: Command, *more: str) -> dict[str, Any]:
    """As :func:`measure`; again, twice at most, where the machine did not let the client keep up,
    of which nothing can be said. The last one is the one."""
    for _ in range(2):
        found = measure(command, *more)
        if found["summary"]["valid"]:
            return found
    return measure(command, *more)


def listed(command: Command, *more: str) -> list[str]:
    found = json.loads(command.run("bench", "list", "--json", *more).stdout)
    return [one["id"] for one in found]


def shown(command: Command, asked: str = "last") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command.run("bench", "show", asked, "--json").stdout)
    return found


def logged(command: Command) -> list[Sample]:
    """What the one log holds, as it is."""
    (path,) = (command.folder / "data/benchmarks/logs").glob("*.log")
    return [one for one in read_log(path) if isinstance(one, Sample)]


def until(fact: Any, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def until_asked(
    server: ScriptedServer, times: int, process: "subprocess.Popen[bytes] | None" = None
) -> None:
    """Wait until the engine was asked so often, by a process that is still there."""

    def there() -> bool:
        if process is not None and process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read().decode())
        return len(asked(server)) >= times

    until(there, 120)


def asked(server: ScriptedServer) -> list[Seen]:
    return [seen for seen in server.seen if seen.path == COMPLETIONS]
