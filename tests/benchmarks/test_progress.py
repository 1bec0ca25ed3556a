"""How far a benchmark is, as its records tell."""

from dataclasses import replace

import pytest

from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.progress import GENERATING, WAITING, Progress, expected
from novasystem.benchmarks.sample_log import Live, ModelState
from novasystem.benchmarks.samples import Failure
from novasystem.cli.benching.planning import plan_of
from tests.benchmarks.made import failed_sample, sample
from tests.cli.test_bench_plan import flags

MODEL = "nova-tiny"


def plan(**given: object) -> Plan:
    return plan_of(flags(model=[MODEL], prompt=["Hi."], **given))


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"repeat": 20}, 20),
        ({"repeat": 2, "phase": "warm,cached"}, 4),
        ({"concurrency": 2, "requests": 7, "repeat": 3}, 21),
        ({"burst": "8,5,3"}, 24),
        ({"until_stable": "5%", "repeat": 9}, 9),
        ({"sweep": "auto"}, None),
    ],
)
def test_how_many_requests_are_expected(given: dict[str, object], count: int | None) -> None:
    assert expected(plan(**given)) == count


def test_the_answer_before_stays_until_the_next_one_says_something() -> None:
    progress = Progress(plan(repeat=3))
    (model,) = progress.models.values()
    progress.take(ModelState(MODEL, "started", 0))
    progress.take(Live(MODEL, 0, 1))
    assert model.shown_status == WAITING
    progress.take(Live(MODEL, 0, 2, "one "))
    progress.take(Live(MODEL, 0, 3, "two"))
    progress.take(Live(MODEL, 1, 4))
    assert model.text == "one two"
    # To be waiting is shown once it lasts.
    assert model.shown_status == GENERATING
    model.asked_s -= 10
    assert model.shown_status == WAITING
    progress.take(Live(MODEL, 1, 5, "three"))
    assert model.text == "three"


def test_what_warms_up_and_what_was_cancelled_is_not_done() -> None:
    progress = Progress(plan(repeat=4))
    (model,) = progress.models.values()
    progress.take(sample(0, counted=False))
    assert (model.done, model.status) == (0, "warming up")
    progress.take(sample(1))
    progress.take(failed_sample(2))
    assert (model.done, model.failed, model.ttft.n) == (2, 1, 1)
    assert model.left_s(progress.total) is not None
    for number, code in enumerate(("cancelled", "load_failed"), 3):
        progress.take(replace(failed_sample(number), failure=Failure(code, "")))
    assert (model.done, model.failed) == (2, 1)


def test_what_was_done_before_counts_and_its_time_does_not() -> None:
    progress = Progress(plan(repeat=4), [sample(0), sample(1)])
    (model,) = progress.models.values()
    assert (model.done, model.status) == (2, "waiting")
    assert model.left_s(progress.total) is None
    at_ns = 100_000_000_000
    progress.take(ModelState(MODEL, "started", at_ns))
    assert model.left_s(progress.total) is None
    progress.take(replace(sample(2), ended_ns=at_ns + 6_000_000_000))
    # One took six seconds, and one is left.
    assert model.left_s(progress.total) == pytest.approx(6)
