"""When requests leave, and what a sweep does next: pure functions."""

import itertools
import statistics

import pytest

from novasystem.benchmarks.pacing import Closed, Open, Pace, constant, pace, pacer
from novasystem.benchmarks.plan import (
    Burst,
    Concurrent,
    ConstantRate,
    LoadShape,
    OneAtATime,
    Poisson,
    Prompt,
    Ramp,
    Sweep,
    Trace,
    TracedRequest,
)
from novasystem.benchmarks.sweep import Step, highest_rate, knee, next_rate

HI = Prompt(prompt="Hi")


def times(load: LoadShape) -> list[float]:
    schedule = pacer(load, HI, 1)
    assert isinstance(schedule, Open)
    return [schedule.due_s(n) for n in range(schedule.requests)]


def test_closed_loops() -> None:
    assert pacer(OneAtATime(), HI, 7) == Closed(7, 1)
    assert pacer(Concurrent(concurrency=4, requests=9), HI, 1) == Closed(9, 4)


def test_a_constant_rate_is_kept_to_the_end() -> None:
    found = times(ConstantRate(rate_per_s=3, requests=1_000_001))
    assert found[0] == 0
    assert found[-1] == pytest.approx(1_000_000 / 3, rel=1e-12)


def test_what_is_due_leaves_at_once_and_nothing_is_left_out() -> None:
    """A client that comes back after 10 s finds 10 requests due, and sends each of them."""
    schedule = constant(1.0, 12)
    assert pace(schedule, 0.25, 1) == Pace(0.75, stop=False)
    late = [pace(schedule, 10.0, hits) for hits in range(13)]
    assert [one.wait_s for one in late] == [0.0] * 11 + [1.0, 0.0]
    assert [one.stop for one in late] == [False] * 12 + [True]


def test_poisson() -> None:
    load = Poisson(rate_per_s=50, requests=20_000, seed=3)
    found = times(load)
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert all(gap >= 0 for gap in gaps)
    assert statistics.mean(gaps) == pytest.approx(1 / 50, rel=0.03)
    # Of an exponential distribution the deviation is the mean.
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.05)
    assert times(load) == found
    assert times(load.model_copy(update={"seed": 4})) != found


def test_poisson_may_be_asked_in_any_order() -> None:
    load = Poisson(rate_per_s=5, requests=10, seed=1)
    schedule = pacer(load, HI, 1)
    assert isinstance(schedule, Open)
    assert [schedule.due_s(n) for n in reversed(range(10))] == times(load)[::-1]


def test_bursts() -> None:
    assert times(Burst(size=3, every_s=2, bursts=2)) == [0, 0, 0, 2, 2, 2]


@pytest.mark.parametrize(("first", "last"), [(1.0, 9.0), (9.0, 1.0), (5.0, 5.0)])
def test_a_ramp(first: float, last: float) -> None:
    found = times(Ramp(from_per_s=first, to_per_s=last, duration_s=10))
    assert len(found) == 50
    assert found[0] == 0
    assert all(a < b for a, b in itertools.pairwise(found))
    assert 9 < found[-1] <= 10
    assert 1 / (found[1] - found[0]) == pytest.approx(first, rel=0.5)
    assert 1 / (found[-1] - found[-2]) == pytest.approx(last, rel=0.9)
    half = first * 5 + (last - first) / 10 * 25 / 2
    assert sum(at < 5 for at in found) == pytest.approx(half, abs=1)


def test_a_trace_keeps_its_own_times() -> None:
    requests = (TracedRequest(at_s=0, prompt="a"), TracedRequest(at_s=3, prompt="b"))
    schedule = pacer(OneAtATime(), Trace(requests=requests, speed=2), 2)
    assert isinstance(schedule, Open)
    assert [schedule.due_s(n) for n in range(schedule.requests)] == [0, 1.5]


def test_a_sweep_has_steps_instead() -> None:
    with pytest.raises(ValueError, match="steps"):
        pacer(Sweep(), HI, 1)


def step(rate: float, limit: float, *, late_s: float = 0.0) -> Step:
    """What a server shows that does ``limit`` requests a second and no more."""
    held = rate <= limit
    return Step(rate, 100, 100 if held else 40, min(rate, limit), late_s)


@pytest.mark.parametrize("limit", [0.3, 3.0, 17.0, 61.0, 1000.0])
def test_a_sweep_finds_the_highest_rate(limit: float) -> None:
    steps: list[Step] = []
    while (rate := next_rate(Sweep(), 2.0, steps)) is not None:
        steps.append(step(rate, limit))
    found = highest_rate(steps)
    assert found is not None
    assert found <= limit <= found * 1.1
    assert len(steps) < 20


def test_a_sweep_of_given_rates_ends_where_one_does_not_hold() -> None:
    sweep = Sweep(rates_per_s=(1, 5, 10, 20))
    steps: list[Step] = []
    while (rate := next_rate(sweep, 1.0, steps)) is not None:
        steps.append(step(rate, 7))
    assert [one.rate_per_s for one in steps] == [1, 5, 10]
    assert highest_rate(steps) == 5
    assert next_rate(sweep, 1.0, [step(rate, 99) for rate in (1, 5, 10, 20)]) is None


def test_a_sweep_ends_where_the_client_is_late() -> None:
    """Beyond that the client would be measured."""
    steps = [step(2, 99), step(4, 99, late_s=0.2)]
    assert next_rate(Sweep(), 2.0, steps) is None
    assert highest_rate(steps) == 2


def test_a_sweep_that_nothing_holds_in_gives_up() -> None:
    steps: list[Step] = []
    while (rate := next_rate(Sweep(), 8.0, steps)) is not None:
        steps.append(Step(rate, 10, 0, None, 0.0))
    assert highest_rate(steps) is None
    assert len(steps) < 10


def test_the_knee_is_where_the_server_stops_following() -> None:
    slow = Step(8, 100, 0, 8, 0.0)
    steps = [step(2, 5), step(4, 5), slow, step(16, 9)]
    assert knee(steps) == 8
    assert highest_rate(steps) == 4
