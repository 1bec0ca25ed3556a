"""How long ``import novasystem`` and ``nova --help`` take."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tools.perf.contestants import Stage
from tools.perf.processes import ROOT
from tools.perf.report import Check, Figure, Row

__all__ = ["imports"]

MOST_IMPORT_S = 0.15
MOST_HELP_S = 0.3


def imports(stage: Stage, *, quick: bool) -> Figure:
    """The import is a whole Python less an empty one; the command is counted as a whole.

    Limits hold for the lowest CPU time: whatever else the machine does can only add to it.
    """
    python = sys.executable
    commands = {
        "python, empty": [python, "-c", ""],
        "python, import novasystem": [python, "-c", "import novasystem"],
        "nova --help": [str(Path(python).parent / "nova"), "--help"],
    }
    walls: dict[str, list[float]] = {name: [] for name in commands}
    cpus: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(4 if quick else 10):
        for name, command in commands.items():
            wall_s, cpu_s = _run(command)
            if turn:  # the first fills the caches of the disk and of the byte code
                walls[name].append(wall_s)
                cpus[name].append(cpu_s)
    table = [Row(f"{name}, wall", values) for name, values in walls.items()]
    table += [Row(f"{name}, CPU", values) for name, values in cpus.items()]
    empty, imported, helped = commands
    checks = []
    for kind, times, best, enforced in (
        ("wall", walls, statistics.median, False),
        ("CPU", cpus, min, True),
    ):
        import_s = best(times[imported]) - best(times[empty])
        for what, value, limit in (
            ("import novasystem", import_s, MOST_IMPORT_S),
            ("nova --help", best(times[helped]), MOST_HELP_S),
        ):
            checks.append(Check(f"imports: {what}, {kind}", value, limit, "s", enforced=enforced))
    return Figure("imports", "Start of Python and of the command line", "s", table, checks)


def _run(command: list[str]) -> tuple[float, float]:
    """Seconds on the wall and of CPU, from the system's own account of the finished process."""
    started_ns = time.perf_counter_ns()
    started = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _pid, status, used = os.wait4(started.pid, 0)
    wall_s = (time.perf_counter_ns() - started_ns) / 1e9
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise subprocess.CalledProcessError(started.returncode, command)
    return wall_s, used.ru_utime + used.ru_stime
