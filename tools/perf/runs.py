"""What it costs that an answer is a run: a row, a log and a thread beside the bare engine call.

The same server process answers both: a turn of a conversation, which is a run, and the stateless
completion, which keeps nothing. What is told is the difference, or the ratio, of the two.
"""

import contextlib
import statistics
from collections.abc import Iterator

from tests.servers.postgres import find_postgres, postgres_server
from tools.perf.contestants import CHAT, COMPLETIONS, Contestant, Stage, nova
from tools.perf.report import Check, Figure, Row
from tools.perf.rounds import ratio, rounds

__all__ = ["run_added", "run_rate", "run_tokens"]

MOST_ADDED_MS = 6.0
LEAST_RATE = 150.0
MOST_TOKEN = 1.5

STATELESS = "stateless"
SQLITE = "a run on SQLite"
POSTGRES = "a run on PostgreSQL"


@contextlib.contextmanager
def servers(stage: Stage) -> Iterator[list[Contestant]]:
    """A fresh server on each database, with both doors; without PostgreSQL the one on SQLite."""
    upstream = f"{stage.upstream.url}/v1"
    with contextlib.ExitStack() as running:
        server = running.enter_context(nova(upstream))
        server.wait_for("/ready")
        found = [
            Contestant(STATELESS, server, *COMPLETIONS),
            Contestant(SQLITE, server, *CHAT, side="ours"),
        ]
        if find_postgres() is not None:
            database = running.enter_context(postgres_server())
            settings = {"NOVA_DATABASE_URL": database.url()}
            other = running.enter_context(nova(upstream, settings=settings))
            other.wait_for("/ready")
            found.append(Contestant(POSTGRES, other, *CHAT, side="ours"))
        yield found


def run_added(stage: Stage, *, quick: bool) -> Figure:
    """One after the other, nothing else going on: the whole time of a run less that of the bare
    call in the same round."""

    def p50_ms(contestant: Contestant) -> float:
        outcome = stage.client.run(contestant.job("burst-1", 100, 1))
        return statistics.median(outcome.took_s) * 1e3

    with servers(stage) as taking_part:
        found = rounds(taking_part, 3 if quick else 9, p50_ms)
    base = found[STATELESS]
    table = [Row(f"{STATELESS} (whole)", base)]
    checks = []
    for name in [name for name in found if name != STATELESS]:
        row = Row(name, [value - own for value, own in zip(found[name], base, strict=True)])
        table.append(row)
        checks.append(Check(f"run_added: {name}", row.median, MOST_ADDED_MS, "ms"))
    title = "What a run adds to the bare call, p50 (one token, one after the other)"
    return Figure("run_added", title, "ms", table, checks)


def run_rate(stage: Stage, *, quick: bool) -> Figure:
    """Whole runs per second of the server's CPU: what one process reaches with a core for itself.

    On PostgreSQL the database has its own CPU beside that.
    """
    walls: dict[str, list[float]] = {}

    def per_core(contestant: Contestant) -> float:
        cpu_s, outcome = stage.cpu_s(contestant, contestant.job("burst-1", 300, 32))
        walls.setdefault(contestant.name, []).append(outcome.requests / outcome.wall_s)
        return outcome.requests / cpu_s

    with servers(stage) as taking_part:
        found = rounds(taking_part, 2 if quick else 6, per_core)
    table, checks = [], []
    for name, values in found.items():
        row, wall = (
            Row(f"{name}, per second of CPU", values),
            Row(f"{name}, on the wall", walls[name]),
        )
        table += [row, wall]
        if name != STATELESS:
            rate = row.median
            checks.append(Check(f"run_rate: {name}", rate, LEAST_RATE, "1/s", at_most=False))
    title = "Runs per second, one process (32 at a time, one token)"
    return Figure("run_rate", title, "1/s", table, checks)


def run_tokens(stage: Stage, *, quick: bool) -> Figure:
    """As ``burst``, with the stateless door of the same process for a yardstick."""

    def microseconds(contestant: Contestant) -> float:
        cpu_s, outcome = stage.cpu_s(contestant, contestant.job("burst-512", 48, 8))
        return cpu_s * 1e6 / outcome.tokens

    with servers(stage) as taking_part:
        found = rounds(taking_part, 3 if quick else 9, microseconds)
    table = [Row(name, values, ratio(found, name, STATELESS)) for name, values in found.items()]
    checks = [
        Check(f"run_tokens: {row.name}, times the stateless", row.ratio or 0.0, MOST_TOKEN, "x")
        for row in table[1:]
    ]
    title = "CPU per streamed token of a run, burst (512 tokens at once, 8 streams)"
    return Figure("run_tokens", title, "µs", table, checks, STATELESS)
