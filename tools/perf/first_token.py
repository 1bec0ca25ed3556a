"""What is added to the time to the first token, where nothing else is going on."""

import statistics

from tools.perf.contestants import RAW, Contestant, Stage
from tools.perf.report import Check, Figure, Row
from tools.perf.rounds import rounds

__all__ = ["first_token"]

MOST_MS = 1.0


def first_token(stage: Stage, *, quick: bool) -> Figure:
    """The median of a round, less the upstream's own in the same round."""

    def p50_ms(contestant: Contestant) -> float:
        outcome = stage.client.run(contestant.job("paced-4-5-20", 40, 2))
        return statistics.median(outcome.ttft_s) * 1e3

    found = rounds(stage.contestants, 2 if quick else 5, p50_ms)
    base = found.pop(RAW)
    table = [Row(f"{RAW} (whole)", base)]
    checks = []
    ours = [one.name for one in stage.contestants if one.side == "ours"]
    for name, values in found.items():
        row = Row(name, [value - own for value, own in zip(values, base, strict=True)])
        table.append(row)
        if name in ours:
            what = f"first token: added by {name}"
            checks.append(Check(what, row.median, MOST_MS, "ms", enforced=False))
    title = "Added time to the first token, p50 (first token after 20 ms, 2 streams)"
    return Figure("first_token", title, "ms", table, checks)
