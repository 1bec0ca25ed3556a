"""From the command to a server that is ready, and what it occupies then and after traffic."""

import statistics
import time

from tools.perf.contestants import Stage, nova
from tools.perf.report import Check, Figure, Row

__all__ = ["memory", "startup"]

MOST_S = {"off": 1.0, "on": 2.0}
MOST_MB = 100.0
_SETTLED_S = 2.0
_NAMES = {"off": "without the model", "on": "with the model"}


def startup(stage: Stage, *, quick: bool) -> Figure:
    """CPU counts the server and its children; the limit on it is the limit on the wall clock,
    which it can only stay below."""
    table, checks = [], []
    for embedded, name in _NAMES.items():
        walls, cpus = [], []
        for _ in range(2 if quick else 5):
            with nova(f"{stage.upstream.url}/v1", embedded=embedded) as server:
                walls.append(server.wait_for("/ready"))
                cpus.append(server.tree_cpu_s())
        table += [Row(f"{name}, wall", walls), Row(f"{name}, CPU", cpus)]
        wall_s, cpu_s, limit = statistics.median(walls), min(cpus), MOST_S[embedded]
        checks.append(Check(f"startup: {name}, wall", wall_s, limit, "s", enforced=False))
        checks.append(Check(f"startup: {name}, CPU", cpu_s, limit, "s"))
    return Figure("startup", "From the command until /ready answers", "s", table, checks)


def memory(stage: Stage, *, quick: bool) -> Figure:
    """Read after a burst through every door, as pools and caches are full then."""
    for contestant in stage.contestants:
        stage.client.run(contestant.job("burst-512", 16 if quick else 64, 16))
    sizes = {one.process.name: one.process.resident_bytes() / 1e6 for one in stage.contestants}
    table = [Row(name, [size]) for name, size in sizes.items()]
    with nova(f"{stage.upstream.url}/v1", embedded="on") as server:
        server.wait_for("/ready")
        # What it makes behind the start is there then.
        time.sleep(_SETTLED_S)
        embedded = server.resident_bytes() / 1e6
    table.append(Row("nova with the model, at rest", [embedded]))
    most = max(sizes["nova"], embedded)
    check = Check("memory: resident in the API process", most, MOST_MB, "MB")
    return Figure("memory", "Resident memory", "MB", table, [check])
