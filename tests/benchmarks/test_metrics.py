"""The formulas of each metric, and what each of them must not fall for."""

from typing import Any

import pytest

from novasystem.benchmarks.metrics import METRICS, inter_chunk_latencies, measured, meets, values
from novasystem.benchmarks.plan import Objectives
from novasystem.benchmarks.samples import Arrived
from novasystem.engines.events import ServerTimings
from tests.benchmarks.answered import MS, answer, failed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time_to_first_chunk_s", 0.002),
        ("ttft_s", 0.05),
        ("ttft_scheduled_s", 0.05),
        ("ttfo_s", 0.05),
        ("e2e_s", 0.13),
        ("tpot_s", 0.02),
        ("output_tokens_per_s", 50.0),
        ("inter_chunk_s", 0.02),
        ("inter_chunk_max_s", 0.02),
        ("prefill_tokens_per_s", 200.0),
        ("decode_tokens_per_s", 50.0),
        ("load_s", None),
        ("residual_s", 0.01),
        ("schedule_delay_s", 0.0),
        ("completion_tokens", 5.0),
    ],
)
def test_an_answer(name: str, value: float | None) -> None:
    assert METRICS[name].function(answer()) == (None if value is None else pytest.approx(value))


def test_each_metric_is_named_here() -> None:
    for name, metric in METRICS.items():
        assert metric.title
        assert name.endswith(("_s", "_tokens"))
        assert metric.better is not None or name == "completion_tokens"


def test_the_role_is_a_chunk_and_no_token() -> None:
    sample = answer(first_chunk_ns=1001 * MS)
    assert METRICS["time_to_first_chunk_s"].function(sample) == pytest.approx(0.001)
    assert METRICS["ttft_s"].function(sample) == pytest.approx(0.05)


def test_chunks_are_no_tokens() -> None:
    """One read of all of it, and 5 chunks of 9 tokens: what the engine counts is what counts."""
    assert METRICS["tpot_s"].function(answer(completion_tokens=9)) == pytest.approx(0.01)
    assert METRICS["tpot_s"].function(answer(completion_tokens=None, chunks=64)) is None


@pytest.mark.parametrize("tokens", [0, 1])
def test_no_pace_without_a_second_token(tokens: int) -> None:
    sample = answer(completion_tokens=tokens)
    assert METRICS["tpot_s"].function(sample) is None
    assert METRICS["output_tokens_per_s"].function(sample) is None


def test_no_pace_of_an_answer_in_one_piece() -> None:
    sample = answer(decode_ms=0, arrivals=(Arrived(1050 * MS, 6, 600, 20),))
    for name in ("tpot_s", "output_tokens_per_s", "inter_chunk_s", "inter_chunk_max_s"):
        assert METRICS[name].function(sample) is None


def test_several_chunks_of_one_read_are_one_arrival() -> None:
    arrivals = tuple(Arrived(at * MS, 3, 90, 9) for at in (1050, 1110, 1120))
    assert inter_chunk_latencies(answer(arrivals=arrivals)) == pytest.approx((0.06, 0.01))
    assert METRICS["inter_chunk_max_s"].function(answer(arrivals=arrivals)) == pytest.approx(0.06)


def test_reasoning_is_a_token_and_no_answer() -> None:
    sample = answer(first_answer_ns=1090 * MS)
    assert METRICS["ttft_s"].function(sample) == pytest.approx(0.05)
    assert METRICS["ttfo_s"].function(sample) == pytest.approx(0.09)
    assert METRICS["ttfo_s"].function(answer(first_answer_ns=None)) is None


def test_a_late_request_is_told_apart_from_a_slow_answer() -> None:
    sample = answer(scheduled_ns=600 * MS)
    assert METRICS["ttft_s"].function(sample) == pytest.approx(0.05)
    assert METRICS["ttft_scheduled_s"].function(sample) == pytest.approx(0.45)
    assert METRICS["schedule_delay_s"].function(sample) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("timings", "rate", "residual"),
    [
        (ServerTimings(prefill_tokens=None, prefill_s=0.04), None, 0.01),
        (ServerTimings(prefill_tokens=None, prefill_s=None), None, None),
        (ServerTimings(prefill_tokens=8, prefill_s=0.0), None, 0.05),
        (ServerTimings(load_s=0.005, prefill_tokens=8, prefill_s=0.04), 200.0, 0.005),
        (None, None, None),
    ],
)
def test_a_prompt_that_the_cache_had(
    timings: ServerTimings | None, rate: float | None, residual: float | None
) -> None:
    """Its length, which the usage says, is not what was evaluated: no rate is made of it."""
    sample = answer(timings=timings, prompt_tokens=8)
    assert METRICS["prefill_tokens_per_s"].function(sample) == rate
    found = METRICS["residual_s"].function(sample)
    assert found == (None if residual is None else pytest.approx(residual))


def test_loading() -> None:
    load = METRICS["load_s"].function
    assert load(answer(timings=ServerTimings(load_s=1.5))) == 1.5
    assert load(answer(load_ns=2500 * MS, timings=None)) == 2.5


@pytest.mark.parametrize("name", METRICS)
def test_a_request_that_came_to_nothing_has_no_figures(name: str) -> None:
    nothing = answer(
        sent_ns=0,
        first_chunk_ns=None,
        first_token_ns=None,
        first_answer_ns=None,
        last_token_ns=None,
        arrivals=(),
        completion_tokens=None,
        timings=None,
    )
    assert METRICS[name].function(nothing) == (0.0 if name == "schedule_delay_s" else None)


def test_failures_and_warm_ups_are_not_measured() -> None:
    samples = [answer(2, sent_ns=3000 * MS), failed(1), answer(0, counted=False), answer(3)]
    assert [sample.number for sample in measured(samples)] == [3, 2]
    assert values(samples, "ttft_s") == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize(
    ("given", "objectives", "met"),
    [
        ({}, {"ttft_s": 0.06, "tpot_s": 0.03, "e2e_s": 0.2}, True),
        ({}, {"ttft_s": 0.04}, False),
        ({}, {"tpot_s": 0.01}, False),
        ({}, {"e2e_s": 0.1, "ttft_s": 1.0}, False),
        ({"completion_tokens": 1}, {"tpot_s": 0.01}, True),
        ({"completion_tokens": None}, {"tpot_s": 0.01}, None),
        ({"first_token_ns": None, "last_token_ns": None}, {"ttft_s": 1.0}, False),
    ],
)
def test_objectives(given: dict[str, Any], objectives: dict[str, float], met: bool | None) -> None:
    assert meets(answer(**given), Objectives(**objectives)) is met


def test_a_failure_meets_no_objective() -> None:
    assert meets(failed(ttft_ms=1), Objectives(ttft_s=1.0)) is False
