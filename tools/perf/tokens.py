"""CPU per streamed token, in a burst and paced.

In a burst one read brings many events and the cost of reading is shared; paced, each event is a
read, a turn of the loop and a write of its own, as it is with a real model.
"""

from collections.abc import Sequence

from tools.perf.contestants import RELAY, Contestant, Stage
from tools.perf.report import Check, Figure
from tools.perf.rounds import ratio, rounds, rows

__all__ = ["burst", "paced"]

MOST = 1.3
PEER_LEAST = 20.0


def burst(stage: Stage, *, quick: bool) -> Figure:
    title = "CPU per streamed token, burst (512 tokens at once, 8 streams)"
    return _figure(stage, "burst", title, "burst-512", 48, 8, 3 if quick else 9)


def paced(stage: Stage, *, quick: bool) -> Figure:
    title = "CPU per streamed token, paced (100 tokens, one each 10 ms, 64 streams)"
    return _figure(stage, "paced", title, "paced-100-10-10", 64, 64, 2 if quick else 6)


def _figure(
    stage: Stage, name: str, title: str, model: str, requests: int, concurrency: int, count: int
) -> Figure:
    def microseconds(contestant: Contestant) -> float:
        job = contestant.job(model, requests, concurrency)
        cpu_s, outcome = stage.cpu_s(contestant, job)
        return cpu_s * 1e6 / outcome.tokens

    values = rounds(stage.contestants, count, microseconds)
    checks = _checks(name, values, stage.contestants)
    return Figure(name, title, "µs", rows(values, RELAY), checks, RELAY)


def _checks(
    name: str, values: dict[str, list[float]], contestants: Sequence[Contestant]
) -> list[Check]:
    """The limits hold in a burst; paced they are shown, as there the system's own share (waking,
    one small write at a time) is most of the cost and varies with whatever else runs. A peer is
    held against our own door of the same kind."""
    burst = name == "burst"
    ours = [contestant.name for contestant in contestants if contestant.side == "ours"]
    checks = []
    for our in ours:
        what = f"{name}: {our}, times the bare relay"
        checks.append(Check(what, ratio(values, our, RELAY), MOST, "x", enforced=burst))
    for peer in contestants:
        if peer.side == "peer":
            times = ratio(values, peer.name, ours[0])
            what = f"{name}: {peer.name}, times {ours[0]}"
            checks.append(Check(what, times, PEER_LEAST, "x", at_most=False, enforced=burst))
    return checks
