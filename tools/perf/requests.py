"""Requests that are not streamed, per second of the server's CPU."""

from tools.perf.contestants import RAW, RELAY, Contestant, Stage
from tools.perf.report import Check, Figure
from tools.perf.rounds import ratio, rounds, rows

__all__ = ["requests"]

LEAST = 3000.0
RELAY_REFERENCE = 4313.0
"""What the relay reaches where the limit was set. On a slower machine, or one that is busy, only
the ratio of the two is asked for."""


def requests(stage: Stage, *, quick: bool) -> Figure:
    def per_core(contestant: Contestant) -> float:
        job = contestant.job("burst-1", 1500, 32, stream=False)
        cpu_s, outcome = stage.cpu_s(contestant, job)
        return outcome.requests / cpu_s

    taking_part = [contestant for contestant in stage.contestants if contestant.whole]
    values = rounds(taking_part, 3 if quick else 9, per_core)
    table = rows(values, RELAY)
    rates = {row.name: row.median for row in table}
    ours = next(one.name for one in taking_part if one.side == "ours")
    share = ratio(values, ours, RELAY)
    checks = [
        Check(
            "requests: share of the bare relay's rate",
            share,
            LEAST / RELAY_REFERENCE,
            "x",
            at_most=False,
        ),
        Check(
            "requests: per second and core",
            rates[ours],
            LEAST,
            "1/s",
            at_most=False,
            enforced=rates[RELAY] >= RELAY_REFERENCE,
        ),
    ]
    title = "Requests per second of CPU, not streamed (32 at a time, answers of one token)"
    shown = [row for row in table if row.name != RAW]
    return Figure("requests", title, "1/s", shown, checks, RELAY)
