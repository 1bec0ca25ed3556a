"""What it costs that an answer is a run: a row, a log and a thread beside the bare engine call.

The same server process answers both: a turn of a conversation, which is a run, and the stateless
completion, which keeps nothing. What is told is the difference, or the ratio, of the two.
"""

import contextlib
import statistics
from collections.abc import Iterator

from tests.servers.postgres import find_postgres, postgres_server
from tools.perf.contestants import CHAT, COMPLETIONS, RELAY, Contestant, Stage, nova
from tools.perf.report import Check, Figure, Row
from tools.perf.requests import RELAY_REFERENCE
from tools.perf.rounds import ratio, rounds

__all__ = ["run_added", "run_rate", "run_tokens"]

MOST_ADDED_MS = 6.0
QUIET_MS = 2.5
"""What the bare call takes at most where nothing else goes on: only there a time on the wall tells
of the server alone."""
LEAST_RATE = 150.0
MOST_TOKEN = 1.5
SHORT, LONG = 64, 512

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
    quiet = statistics.median(base) <= QUIET_MS
    table = [Row(f"{STATELESS} (whole)", base)]
    checks = []
    for name in [name for name in found if name != STATELESS]:
        row = Row(name, [value - own for value, own in zip(found[name], base, strict=True)])
        table.append(row)
        what = f"run_added: {name}"
        checks.append(Check(what, row.median, MOST_ADDED_MS, "ms", enforced=quiet))
    title = "What a run adds to the bare call, p50 (one token, one after the other)"
    return Figure("run_added", title, "ms", table, checks)


def run_rate(stage: Stage, *, quick: bool) -> Figure:
    """Whole runs per second of the server's CPU: what one process reaches with a core for itself.

    On PostgreSQL the database has its own CPU beside that. As in ``requests``, a machine that is
    slower than the one the limit was set on is asked for the same share of the relay's rate.
    """
    walls: dict[str, list[float]] = {}

    def per_core(contestant: Contestant) -> float:
        whole = contestant.name == RELAY
        job = contestant.job("burst-1", 1500 if whole else 300, 32, stream=not whole)
        cpu_s, outcome = stage.cpu_s(contestant, job)
        walls.setdefault(contestant.name, []).append(outcome.requests / outcome.wall_s)
        return outcome.requests / cpu_s

    relay = next(one for one in stage.contestants if one.name == RELAY)
    with servers(stage) as taking_part:
        found = rounds([relay, *taking_part], 2 if quick else 6, per_core)
    fast = statistics.median(found[RELAY]) >= RELAY_REFERENCE
    table, checks = [], []
    for name, values in found.items():
        table.append(Row(f"{name}, per second of CPU", values, ratio(found, name, RELAY)))
        if name not in {RELAY, STATELESS}:
            table.append(Row(f"{name}, on the wall", walls[name][1:]))
            share, least = ratio(found, name, RELAY), LEAST_RATE / RELAY_REFERENCE
            what = f"run_rate: {name}"
            checks.append(
                Check(f"{what}, share of the relay's requests", share, least, "x", at_most=False)
            )
            rate = statistics.median(values)
            checks.append(
                Check(
                    f"{what}, per second and core",
                    rate,
                    LEAST_RATE,
                    "1/s",
                    at_most=False,
                    enforced=fast,
                )
            )
    title = "Runs per second, one process (32 at a time, one token)"
    return Figure("run_rate", title, "1/s", table, checks, RELAY)


def run_tokens(stage: Stage, *, quick: bool) -> Figure:
    """What one token more costs: the difference of a long and a short answer. The whole answer,
    what it costs to begin and to end a run included, is shown beside it."""
    wholes: dict[str, list[float]] = {}

    def microseconds(contestant: Contestant) -> float:
        costs = {}
        for tokens, requests in ((SHORT, 96), (LONG, 48)):
            cpu_s, outcome = stage.cpu_s(contestant, contestant.job(f"burst-{tokens}", requests, 8))
            costs[tokens] = cpu_s * 1e6 / outcome.requests
        wholes.setdefault(contestant.name, []).append(costs[LONG] / LONG)
        return (costs[LONG] - costs[SHORT]) / (LONG - SHORT)

    with servers(stage) as taking_part:
        found = rounds(taking_part, 3 if quick else 9, microseconds)
    whole = {name: values[1:] for name, values in wholes.items()}
    table, checks = [], []
    for name in found:
        each, all_ = ratio(found, name, STATELESS), ratio(whole, name, STATELESS)
        table.append(Row(f"{name}, one more", found[name], each))
        table.append(Row(f"{name}, of a whole answer", whole[name], all_))
        if name != STATELESS:
            what = f"run_tokens: {name}, times the stateless"
            checks.append(Check(what, each, MOST_TOKEN, "x"))
            checks.append(Check(f"{what}, whole answers", all_, MOST_TOKEN, "x", enforced=False))
    title = f"CPU per streamed token of a run, burst ({SHORT} and {LONG} tokens, 8 streams)"
    return Figure("run_tokens", title, "µs", table, checks, STATELESS)
