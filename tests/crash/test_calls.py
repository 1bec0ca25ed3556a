"""A call that must not be made twice, and a process that is killed while it makes it."""

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.conftest import Place
from tests.crash.data import opened
from tests.crash.faults import WHERE, Fault, Where
from tests.crash.programs import CALLS
from tests.crash.servers import Crashing, crashing
from tests.http.figures import State

KILLS = 16
_QUIET = {"NOVA_EMBEDDED": "off", "NOVA_LOG_LEVEL": "error"}


def made(effects: Path) -> Counter[tuple[str, int]]:
    """How often each call of each run had its effect."""
    lines = [line.split() for line in effects.read_text().splitlines() if line != "begun"]
    return Counter((run_id, int(number)) for run_id, number in lines)


def lines_after(effects: Path, size: int) -> int:
    """How much has happened since the file was of that size."""
    return effects.read_text()[size:].count("\n") if effects.exists() else 0


def settle(servers: Crashing, effects: Path, *, repeatable: bool) -> None:
    """Let one process carry on all that is left, and two runs of its own, undisturbed."""
    servers.start(program="call", effects=str(effects), runs=2, repeatable=repeatable)
    assert servers.wait_for_death() == 0, servers.said


@pytest.mark.parametrize("repeatable", [False, True])
def test_random_kills_repeat_only_what_may_be_repeated(
    place: Place, state: State, repeatable: bool
) -> None:
    effects = place.folder / "effects"
    moments = random.Random(11)
    with crashing(place.folder, {**_QUIET, **place.environment}) as servers:
        for kill in range(KILLS):
            before = len(effects.read_text()) if effects.exists() else 0
            servers.start(program="call", effects=str(effects), runs=6, repeatable=repeatable)
            # Most are killed at work, and some before they have opened their data.
            until = time.monotonic() + 10
            lines = moments.randint(1, 15) if kill % 4 else 0
            while lines_after(effects, before) < lines and time.monotonic() < until:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.01))
            servers.kill()
        settle(servers, effects, repeatable=repeatable)
        with opened(place.url) as data:
            runs = data.check_settled()
            steps = data.steps()
    times = made(effects)
    ends = Counter(run.row.status for run in runs)
    twice = sum(count - 1 for count in times.values())
    for run in runs:
        done = [times[run.row.id, number] for number in range(CALLS)]
        if run.row.status == "completed":
            assert all(done), (run.row, done)
    for step in steps:
        # What is said to be done was done; what nobody knows is not said to be done.
        assert step.status in {"completed", "unknown"}, step
    said = f"{KILLS} kills, {len(runs)} runs {dict(ends)}, {sum(times.values())} calls"
    state(f"{place.name}: {said}, run twice {twice}")
    assert ends["completed"]
    if repeatable:
        assert twice, "the kills have hit no call"
    else:
        assert twice == 0
        unknown = sum(step.status == "unknown" for step in steps)
        failed = sum(
            run.row.status == "failed" and run.row.error["code"] == "call_interrupted"
            for run in runs
        )
        # A call that was interrupted ends its run, unless a fourth kill had done so already.
        assert failed <= unknown


def test_a_kill_at_each_commit_of_a_run_s_calls(place: Place, state: State) -> None:
    effects, record = place.folder / "effects", place.folder / "points"
    killed = 0
    with crashing(place.folder, {**_QUIET, **place.environment}) as servers:

        def run_once(where: Where, at: int) -> int:
            fault = Fault("commit", where, at, str(record))
            servers.start(fault, "call", effects=str(effects), runs=1, repeatable=False)
            return servers.wait_for_death()

        assert run_once("before", 0) == 0, servers.said
        points = record.read_text().splitlines()
        named = {name.rpartition(".")[2] for name in points}
        end = "end" if place.name == "sqlite" else "end_joined"
        assert {"begin", "_open_call", "_end_call", end} <= named, named
        for at in range(1, len(points) + 1):
            for where in WHERE:
                killed += run_once(where, at) == signal.SIGKILL
        settle(servers, effects, repeatable=False)
        with opened(place.url) as data:
            runs = data.check_settled()
    times = made(effects)
    assert max(times.values()) == 1
    assert killed > len(points)
    ends = Counter(run.row.status for run in runs)
    said = f"{len(points)} commits, {killed} kills, {len(runs)} runs {dict(ends)}"
    state(f"{place.name}: {said}, run twice 0")
