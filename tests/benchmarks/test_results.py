"""A model's result and the whole benchmark's summary, out of samples."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from novasystem.benchmarks.plan import Check, ConstantRate, Matrix, Objectives, Plan, Prompt, Sweep
from novasystem.benchmarks.records import Problem, Result, Summary
from novasystem.benchmarks.results import POOLED_GAPS, result
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.summary import ClientFigures, summary
from novasystem.benchmarks.windows import busy_s, merged, windows
from novasystem.engines.events import ServerTimings
from tests.benchmarks.answered import MS, PLAN, answer, failed, one_by_one

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def of(samples: Sequence[Sample], plan: Plan = PLAN, **given: Any) -> Result:
    return result("m", samples, plan, timestamp=NOW, **given)


def planned(**given: Any) -> Plan:
    return PLAN.model_copy(update=given)


def test_a_result() -> None:
    found = of(one_by_one([40, 50, 60]))
    assert found.success
    assert found.error is None
    assert (found.requests, found.failed, found.errors) == (3, 0, {})
    assert found.timing.time_to_first_chunk == pytest.approx(0.002)
    assert found.timing.time_to_first_token == pytest.approx(0.05)
    assert found.timing.total_time == pytest.approx(0.13)
    assert found.throughput.total_chunks == 18
    assert found.throughput.average_chunk_size == 100
    assert found.throughput.prefill_tokens_per_second == pytest.approx(200)
    assert found.throughput.decode_tokens_per_second == pytest.approx(50)
    # Three windows: 121, 131 and 141 ms with what ends them.
    assert found.throughput.output_tokens_per_second == pytest.approx(15 / 0.393)
    assert found.throughput.bytes_per_second == pytest.approx(1800 / 0.393)
    assert (found.tokens.prompt, found.tokens.completion, found.tokens.cached) == (24, 15, None)
    assert found.metrics["ttft_s"].n == 3
    assert found.metrics["ttft_s"].mean == pytest.approx(0.05)
    assert found.metrics[POOLED_GAPS].n == 12
    assert found.response == "Paris."
    assert found.goodput_per_s is None


def test_failures_and_warm_ups_enter_no_figure() -> None:
    good = one_by_one([40, 50, 60])
    spoilt = [
        *good,
        failed(3),
        failed(4, "engine_unavailable"),
        answer(5, counted=False, ttft_ms=9),
    ]
    found, clean = of(spoilt), of(good)
    assert found.metrics == clean.metrics
    assert found.timing == clean.timing
    assert found.tokens == clean.tokens
    assert found.success
    assert (found.requests, found.failed) == (5, 2)
    assert found.errors == {"engine_timeout": 1, "engine_unavailable": 1}


def test_percentiles_are_refused_and_never_made_of_failures() -> None:
    samples = [*one_by_one([50] * 15), *(failed(number) for number in range(15, 30))]
    ttft = of(samples).metrics["ttft_s"]
    assert ttft.n == 15
    assert ttft.p90 == pytest.approx(0.05)
    assert (ttft.p95, ttft.p99) == (None, None)


@pytest.mark.parametrize("samples", [[failed(0)], [failed(0, counted=False)]])
def test_a_model_that_never_answered(samples: list[Sample]) -> None:
    found = of(samples)
    assert not found.success
    assert found.error == Problem(
        code="engine_timeout", message="It kept silent.", hint="Wait longer."
    )
    assert found.metrics == {}
    assert found.timing.total_time is None


def test_a_model_that_was_never_asked() -> None:
    found = of([answer(model="another")])
    assert found.error is not None
    assert found.error.code == "not_measured"
    given = Problem(code="model_not_found", message="No such model.")
    assert of([], error=given).error == given
    assert not of([answer()], error=given).success


def test_timings_are_in_order() -> None:
    """Medians of one set of requests: one without content moves none of them."""
    samples = [
        answer(0, ttft_ms=10),
        answer(1, ttft_ms=20),
        answer(2, first_chunk_ns=1500 * MS, first_token_ns=None, last_token_ns=None),
        answer(3, first_chunk_ns=1900 * MS, first_token_ns=None, last_token_ns=None),
    ]
    timing = of(samples).timing
    assert timing.time_to_first_chunk == pytest.approx(0.002)
    assert timing.time_to_first_token == pytest.approx(0.015)
    assert timing.total_time == pytest.approx(0.095)
    assert of(samples[2:]).timing.time_to_first_chunk is None


def test_tokens_of_which_some_are_unknown_have_no_sum() -> None:
    """Ollama omits the count of a prompt that its cache had."""
    cached = answer(1, prompt_tokens=None, timings=ServerTimings(decode_tokens=5, decode_s=0.1))
    found = of([answer(0), cached])
    assert found.tokens.prompt is None
    assert found.tokens.completion == 10
    assert found.throughput.prefill_tokens_per_second == pytest.approx(200)
    assert of([answer(0, completion_tokens=None)]).throughput.output_tokens_per_second is None


def test_phases_are_never_mixed() -> None:
    plan = planned(phases=("cold", "warm", "cached"))
    samples = [
        *one_by_one([2000] * 4, phase="cold", load_ns=1500 * MS),
        *one_by_one([50, 50]),
        *one_by_one([5, 5], phase="cached"),
    ]
    found = of(samples, plan)
    assert found.timing.time_to_first_token == pytest.approx(0.05)
    assert found.metrics["ttft_s"].mean == pytest.approx(0.05)
    assert found.metrics["ttft_s@cold"].mean == pytest.approx(2)
    assert found.metrics["ttft_s@cached"].mean == pytest.approx(0.005)
    assert found.metrics["load_s@cold"].mean == pytest.approx(1.5)
    assert found.requests == 8
    cold = of(samples[:4], planned(phases=("cold",)))
    assert cold.metrics["ttft_s"].mean == pytest.approx(2)


def test_lengths_of_a_matrix_and_steps_of_a_sweep_stand_apart() -> None:
    plan = planned(workload=Matrix(prompt_tokens=(8, 16), output_tokens=(5,)))
    lengths = [
        answer(number, prompt_target_tokens=tokens, output_target_tokens=5, depth_tokens=0)
        for number, tokens in enumerate((8, 16, 16))
    ]
    found = of(lengths, plan).metrics
    assert [found[f"ttft_s{end}"].n for end in ("", "@p8-n5-d0", "@p16-n5-d0")] == [3, 1, 2]
    steps = [answer(number, rate_per_s=rate) for number, rate in enumerate((2.0, 4.0, 4.0))]
    found = of(steps, planned(load=Sweep())).metrics
    assert [found[f"ttft_s{end}"].n for end in ("", "@2/s", "@4/s")] == [3, 1, 2]


def test_a_sweep_says_up_to_which_rate_it_held() -> None:
    kept_up = [
        answer(number, rate_per_s=2.0, sent_ns=(1000 + 500 * number) * MS) for number in range(4)
    ]
    # Ten a second were asked for, and five ended.
    behind = [
        answer(4 + number, rate_per_s=10.0, sent_ns=(9000 + 100 * number) * MS,
               ttft_ms=50 + 100 * number)
        for number in range(4)
    ]  # fmt: skip
    plan = planned(load=Sweep(), objectives=Objectives(ttft_s=0.2))
    sweep = of([*kept_up, *behind], plan).sweep
    assert sweep is not None
    assert [(step.rate_per_s, step.good, step.held) for step in sweep.steps] == [
        (2.0, 4, True), (10.0, 2, False)
    ]  # fmt: skip
    assert sweep.steps[1].achieved_per_s == pytest.approx(5.0)
    assert (sweep.highest_rate_per_s, sweep.knee_per_s) == (2.0, 2.0)
    assert of(kept_up).sweep is None


def test_goodput() -> None:
    plan = planned(objectives=Objectives(ttft_s=0.055))
    samples = [*one_by_one([40, 50, 60]), failed(3, sent_ns=4000 * MS, ttft_ms=50)]
    # Two of four, in windows of 121, 131, 141 and 131 ms.
    assert of(samples, plan).goodput_per_s == pytest.approx(2 / 0.524)
    unknown = planned(objectives=Objectives(tpot_s=0.1))
    assert of([answer(completion_tokens=None)], unknown).goodput_per_s is None


def test_checks_and_impact_are_part_of_it() -> None:
    plan = planned(checks=(Check(kind="contains", value="Paris"),))
    samples = [answer(0), answer(1, text="Lyon."), failed(2, text="Paris")]
    (count,) = of(samples, plan).checks
    assert (count.check, count.passed, count.failed) == ("contains 'Paris'", 1, 1)
    assert count.failures == ("request 1: 'Lyon.'",)


def test_the_wall_clock_takes_no_part() -> None:
    """It may step between any two requests: only the monotonic times of samples are read."""
    before = result("m", one_by_one([50]), PLAN, timestamp=NOW)
    after = result("m", one_by_one([50]), PLAN, timestamp=datetime(1999, 1, 1, tzinfo=UTC))
    assert before.model_copy(update={"timestamp": after.timestamp}) == after


# The whole benchmark.


def test_windows() -> None:
    found = windows([answer(0), answer(1, block=0, sent_ns=3000 * MS), answer(2, model="n")])
    assert sorted(found) == [(1000 * MS, 1131 * MS), (1000 * MS, 3131 * MS)]
    assert merged([(5, 9), (1, 3), (2, 4)]) == [(1, 4), (5, 9)]
    assert busy_s(found) == pytest.approx(2.131)
    assert busy_s([]) == 0


def two(mode: str) -> tuple[list[Sample], Plan]:
    """Two models of 4 s each: at the same time, or one after the other."""
    later = 0 if mode == "parallel" else 4500
    first = answer(0, model="a", decode_ms=3949, sent_ns=500 * MS)
    second = answer(1, model="b", decode_ms=3949, sent_ns=(500 + later) * MS)
    plan = Plan.model_validate(
        {"models": ("a", "b"), "mode": mode, "workload": Prompt(prompt="Hi")}
    )
    return [first, second], plan


def test_models_in_parallel() -> None:
    found = summary(*two("parallel"), ClientFigures(wall_s=5.0))
    assert found.total_model_time == pytest.approx(8)
    assert found.average_model_time == pytest.approx(4)
    assert found.parallel_speedup == pytest.approx(1.6)
    assert found.efficiency_ratio == pytest.approx(0.8)
    assert found.overhead_s == pytest.approx(1)
    assert (found.models, found.succeeded, found.requests) == (2, 2, 2)


def test_models_one_after_the_other_have_no_speedup() -> None:
    found = summary(*two("sequential"), ClientFigures(wall_s=9.0))
    assert (found.parallel_speedup, found.efficiency_ratio) == (None, None)
    assert found.total_model_time == pytest.approx(8)
    assert found.average_model_time == pytest.approx(4)
    assert found.overhead_s == pytest.approx(1)


def test_without_a_wall_time_the_samples_span_it() -> None:
    found = summary(*two("parallel"))
    assert found.wall_s == pytest.approx(4)
    assert found.overhead_s == pytest.approx(0)
    nothing = summary([], PLAN)
    assert (nothing.wall_s, nothing.parallel_speedup, nothing.overhead_s) == (None, None, None)
    assert (nothing.models, nothing.succeeded, nothing.valid) == (1, 0, True)


def test_failures_are_counted_beside() -> None:
    found = summary([answer(0), failed(1), answer(2, counted=False)], PLAN)
    assert (found.requests, found.failed_requests, found.succeeded) == (2, 1, 1)


def honest(samples: Sequence[Sample], client: ClientFigures, **plan: Any) -> Summary:
    return summary(samples, planned(**plan), client)


def test_a_client_that_kept_up_is_valid() -> None:
    samples = one_by_one([50] * 20, lag_ns=3 * MS)
    found = honest(samples, ClientFigures(wall_s=26, cpu_s=1.0, lag_s=0.004))
    assert found.valid
    assert found.invalid_because == ()
    assert (found.client_cpu_s, found.client_lag_s) == (1.0, 0.004)


def test_a_client_without_cpu_left_says_so() -> None:
    found = honest(one_by_one([50]), ClientFigures(wall_s=10, cpu_s=9.5))
    assert not found.valid
    assert "95%" in found.invalid_because[0]
    shared = ClientFigures(wall_s=10, cpu_s=9.5, busiest_s=5, processes=2)
    assert honest(one_by_one([50]), shared).valid
    assert honest(one_by_one([50]), shared).client_processes == 2
    uneven = ClientFigures(wall_s=10, cpu_s=9.9, busiest_s=9.4, processes=2)
    assert "A process of the client took 94%" in honest(one_by_one([50]), uneven).invalid_because[0]


def test_a_client_whose_loop_was_late_says_so() -> None:
    late = one_by_one([50] * 2, lag_ns=30 * MS)
    found = honest([*late, *one_by_one([50] * 18)], ClientFigures())
    assert not found.valid
    assert "30 ms" in found.invalid_because[0]
    assert found.client_lag_s == pytest.approx(0.03)
    assert honest([late[0], *one_by_one([50] * 19)], ClientFigures()).valid
    assert honest(one_by_one([500] * 20, lag_ns=30 * MS), ClientFigures()).valid


def test_an_open_loop_that_fell_behind_says_so() -> None:
    samples = [
        answer(number, sent_ns=(1000 + 10 * number) * MS, scheduled_ns=(1000 + 8 * number) * MS)
        for number in range(100)
    ]
    load = ConstantRate(rate_per_s=125, requests=100)
    found = honest(samples, ClientFigures(), load=load)
    assert not found.valid
    assert "behind their schedule" in found.invalid_because[0]
    assert found.schedule_delay_s == pytest.approx(0.198)
    closed = honest(samples, ClientFigures())
    assert closed.valid
