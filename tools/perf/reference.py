"""How slow this machine is, beside the one on which limits in seconds were set."""

import statistics

from tools.perf.contestants import RELAY, Stage

__all__ = ["RELAY_REFERENCE", "slowness"]

RELAY_REFERENCE = 4313.0
"""What the bare relay reaches where the limits were set: requests per second of its CPU, not
streamed, 32 at a time."""


def slowness(stage: Stage) -> float:
    """``RELAY_REFERENCE`` by what the relay reaches here and now; never below 1.

    A limit in seconds is multiplied by it, so that it asks the same of the code on any machine: a
    ratio to the relay, which is measured in the same run.
    """
    relay = next(one for one in stage.contestants if one.name == RELAY)
    rates = []
    for _ in range(3):
        cpu_s, outcome = stage.cpu_s(relay, relay.job("burst-1", 1500, 32, stream=False))
        rates.append(outcome.requests / cpu_s)
    return max(1.0, RELAY_REFERENCE / statistics.median(rates))
