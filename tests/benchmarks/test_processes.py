"""How many processes make a load, and which requests each of them has."""

from typing import Any

import pytest

from novasystem.benchmarks.calibrate import Length, MadeTexts
from novasystem.benchmarks.plan import (
    Burst,
    Concurrent,
    ConstantRate,
    Conversation,
    Matrix,
    OneAtATime,
    Poisson,
    Ramp,
    Sweep,
    Synthetic,
    Trace,
    TracedRequest,
)
from novasystem.benchmarks.processes import how_many
from novasystem.benchmarks.shares import Share, split
from tests.benchmarks.loads import plan

RATE = ConstantRate(rate_per_s=500, requests=5000)
MANY = {"max_tokens": 64}


@pytest.mark.parametrize(
    ("cores", "wanted", "more"),
    [
        (16, 1, {}),
        (16, 1, {"load": Concurrent(concurrency=8, requests=100)}),
        (16, 2, {"load": Concurrent(concurrency=256, requests=1000)}),
        (16, 1, {"load": ConstantRate(rate_per_s=100, requests=900), "parameters": MANY}),
        (16, 4, {"load": RATE, "parameters": MANY}),
        (4, 3, {"load": RATE, "parameters": MANY}),
        (2, 2, {"load": RATE, "parameters": MANY}),
        (2, 1, {"load": ConstantRate(rate_per_s=250, requests=900), "parameters": MANY}),
        (1, 1, {"load": RATE, "parameters": MANY}),
        (16, 7, {"load": RATE, "parameters": MANY, "models": ("a", "b")}),
        (16, 4, {"load": RATE, "parameters": MANY, "models": ("a", "b"), "mode": "sequential"}),
        (16, 2, {"load": Poisson(rate_per_s=500, requests=2), "parameters": MANY}),
        (16, 3, {"load": Ramp(from_per_s=1, to_per_s=200, duration_s=60)}),
        (16, 5, {"load": Burst(size=1000, every_s=60, bursts=2)}),
        (16, 3, {"load": Sweep(rates_per_s=(10, 200), step_s=5)}),
        (16, 1, {"load": Sweep(step_s=5)}),
        (64, 16, {"load": Concurrent(concurrency=4096, requests=9999)}),
        (16, 4, {"load": RATE, "workload": Synthetic(prompt_tokens=9, output_tokens=64)}),
    ],
)
def test_one_unless_it_is_too_much_for_one(cores: int, wanted: int, more: dict[str, Any]) -> None:
    what = plan(**more)
    assert how_many(what, models=max(1, len(what.models)), cores=cores) == wanted


@pytest.mark.parametrize(
    ("wanted", "more"),
    [
        (3, {"load": Concurrent(concurrency=8, requests=9), "processes": 3}),
        (2, {"load": Concurrent(concurrency=2, requests=9), "processes": 3}),
        (1, {"load": RATE, "parameters": MANY, "processes": 1}),
        (5, {"load": ConstantRate(rate_per_s=1, requests=9), "processes": 5}),
        # These have nothing that could be shared.
        (1, {"load": OneAtATime(), "processes": 3}),
        (1, {"workload": Conversation(turns=("a", "b")), "processes": 3}),
        (
            1,
            {
                "workload": Matrix(prompt_tokens=(9,), output_tokens=(9,), depths=(0, 9)),
                "load": Concurrent(concurrency=8, requests=9),
                "processes": 3,
            },
        ),
        (
            2,
            {
                "workload": Trace(
                    requests=(TracedRequest(at_s=0, prompt="a"), TracedRequest(at_s=9, prompt="b"))
                ),
                "processes": 3,
            },
        ),
    ],
)
def test_what_is_told_is_kept_to(wanted: int, more: dict[str, Any]) -> None:
    assert how_many(plan(**more), models=1, cores=2) == wanted


@pytest.mark.parametrize("left", [range(11), [0, 3, 4, 5, 9, 10]])
def test_each_request_is_in_one_share(left: Any) -> None:
    shares = split(Share("m", "warm", 0, left, concurrency=5), 3, 100)
    assert sorted(number for share in shares for number in share.numbers) == list(left)
    assert [share.concurrency for share in shares] == [2, 2, 1]
    numbers = [
        (request, share.sample_number + place * share.sample_step)
        for share in shares
        if share.sample_number is not None
        for place, request in enumerate(share.numbers)
    ]
    # Samples are numbered in the order of the schedule.
    assert sorted(numbers) == [(request, 100 + place) for place, request in enumerate(left)]
    assert [share.shown for share in shares] == [True, False, False]
    for share in shares:
        told = Share.of(share.plain())
        assert list(told.numbers) == list(share.numbers)
        assert (told.concurrency, told.first) == (share.concurrency, share.first)


def test_made_up_prompts_are_the_same_in_another_process() -> None:
    before = Length(30, 30, 20, 1)
    texts = MadeTexts({(0, 9): Length(9, 9, 5, 2), (30, 9): Length(39, 39, 6, 0, before)})
    told = MadeTexts.of(texts.plain())
    assert told.prompt(9, "s") == texts.prompt(9, "s")
    assert told.deep(30, 9, "s") == texts.deep(30, 9, "s")
