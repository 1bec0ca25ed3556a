"""Comparisons: what is concluded, and above all what is not; and what fails a build."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from novasystem.benchmarks.compare import compare
from novasystem.benchmarks.comparison import Comparison, Difference
from novasystem.benchmarks.gate import Rule, decide, rule
from novasystem.benchmarks.metrics import METRICS
from novasystem.benchmarks.plan import Parameters
from novasystem.benchmarks.records import (
    Cpu,
    Environment,
    Memory,
    ModelEnvironment,
    Summary,
    SystemInfo,
)
from novasystem.benchmarks.samples import Sample
from novasystem.errors import InvalidRequest
from tests.benchmarks.answered import PLAN, answer, benchmark, failed, one_by_one
from tools.perf.verdicts import Conditions, made_up

STEADY = Conditions("steady", run=0.0, drift=0.0, noise=0.01, outliers=0.0)


def side_by_side(*sides: Sequence[Sample], **given: Any) -> Comparison:
    records = [benchmark(f"b{place}") for place in range(len(sides))]
    return compare(list(zip(records, sides, strict=True)), **given)


def verdict(comparison: Comparison, metric: str) -> Difference:
    (model,) = comparison.models
    (found,) = (one for one in model.metrics if one.metric == metric)
    return found.differences[0]


def drawn(slower: float = 1.0, conditions: Conditions = STEADY, seed: int = 0) -> list[Sample]:
    return made_up(conditions, random.Random(f"{seed} {slower}"), slower=slower)


def concluded(comparison: Comparison) -> list[str]:
    return [
        f"{metric.metric} {difference.verdict}"
        for model in comparison.models
        for metric in model.metrics
        for difference in metric.differences
        if difference.verdict != "no evidence"
    ]


def test_equal_runs_are_no_evidence() -> None:
    found = side_by_side(drawn(seed=1), drawn(seed=2))
    assert concluded(found) == []
    assert verdict(found, "ttft_s").reason
    assert verdict(found, "ttft_s").blocks == (20, 20)


def test_a_slower_model_is_slower_and_the_other_way_round_faster() -> None:
    slower = side_by_side(drawn(), drawn(1.3))
    for name in ("ttft_s", "e2e_s", "tpot_s", "output_tokens_per_s", "prefill_tokens_per_s"):
        assert verdict(slower, name).verdict == "slower", name
    assert verdict(slower, "e2e_s").relative == pytest.approx(0.3, abs=0.02)
    assert verdict(slower, "output_tokens_per_s").relative == pytest.approx(-0.23, abs=0.02)
    assert verdict(slower, "completion_tokens").verdict == "no evidence"
    assert verdict(side_by_side(drawn(1.3), drawn()), "e2e_s").verdict == "faster"


def test_what_is_neither_better_nor_worse() -> None:
    longer = [answer(number, completion_tokens=9) for number in range(20)]
    found = side_by_side([answer(number) for number in range(20)], longer)
    assert verdict(found, "completion_tokens").verdict == "higher"


def test_a_small_difference_is_no_evidence_however_sure() -> None:
    few = verdict(side_by_side(drawn(), drawn(1.04), run_to_run=0.0), "tpot_s")
    assert few.p_value is not None
    assert few.p_value < 0.01
    assert few.verdict == "no evidence"
    assert "minimum effect of 5%" in few.reason
    told = side_by_side(drawn(), drawn(1.04), run_to_run=0.0, minimum_effect=0.02)
    assert verdict(told, "tpot_s").verdict == "slower"


def test_runs_that_are_shifted_against_each_other_are_no_evidence() -> None:
    """A run 6 % slower in every request: to a rank test of requests as sure as can be."""
    quiet = Conditions("quiet", run=0.0, drift=0.0, noise=0.002, outliers=0.0)
    pair = drawn(conditions=quiet), drawn(1.06, conditions=quiet)
    assert concluded(side_by_side(*pair)) == []
    assert verdict(side_by_side(*pair), "e2e_s").reason.startswith("not beyond what runs")
    assert concluded(side_by_side(*pair, run_to_run=0.001))


def test_drift_inside_a_run_is_no_evidence() -> None:
    """One run got slower all the while, by 30 % in the end: who knows what it did before."""
    drifting = one_by_one([1000 + 16 * number for number in range(20)])
    steady = one_by_one([1000 + number % 3 for number in range(20)])
    assert verdict(side_by_side(steady, drifting), "ttft_s").verdict == "no evidence"
    slower = one_by_one([1152 + number % 3 for number in range(20)])
    assert verdict(side_by_side(steady, slower), "ttft_s").verdict == "slower"


def test_requests_of_a_repetition_are_one_block() -> None:
    """Five repetitions of a hundred requests, each at a level of its own, are five blocks in which
    nothing was alike; taken for five hundred, they would prove anything."""

    def run(levels: Sequence[int]) -> list[Sample]:
        return [
            answer(number, block=number // 100, sent_ns=number * 10**10, ttft_ms=level)
            for number, level in enumerate(level for level in levels for _ in range(100))
        ]

    found = side_by_side(run([50, 70, 45, 66, 52]), run([72, 68, 47, 71, 60]))
    assert verdict(found, "ttft_s").verdict == "no evidence"


def test_too_few_repetitions_are_told() -> None:
    found = verdict(side_by_side(one_by_one([50] * 5), one_by_one([90] * 5)), "ttft_s")
    assert found.verdict == "no evidence"
    assert found.reason == "5 and 5 blocks: at least 7 repetitions of each are needed"
    seven = side_by_side(one_by_one([50] * 7), one_by_one([90] * 7))
    assert verdict(seven, "ttft_s").verdict == "slower"
    models = "abcdefgh"
    many = [
        [one for name in models for one in one_by_one([ttft] * 7, model=name)] for ttft in (50, 90)
    ]
    assert "too few blocks for" in side_by_side(*many).models[0].metrics[0].differences[0].reason


def test_one_run_is_cut_into_blocks() -> None:
    one = [answer(n, block=0, sent_ns=n * 10**9, ttft_ms=50 + n % 7) for n in range(100)]
    other = [answer(n, block=0, sent_ns=n * 10**9, ttft_ms=80 + n % 7) for n in range(100)]
    found = verdict(side_by_side(one, other), "ttft_s")
    assert (found.verdict, found.blocks) == ("slower", (20, 20))


def test_failures_and_warm_ups_are_not_compared() -> None:
    spoilt = [*one_by_one([50] * 20), *(failed(number) for number in range(20, 40))]
    warm = [answer(number, counted=False, ttft_ms=900) for number in range(40, 60)]
    found = side_by_side(one_by_one([50] * 20), [*spoilt, *warm])
    assert concluded(found) == []
    assert found.models[0].requests == (20, 40)
    assert found.models[0].failed == (0, 20)
    assert verdict(found, "ttft_s").absolute == 0


def test_phases_are_compared_apart() -> None:
    both = [*one_by_one([900] * 20, phase="cold"), *one_by_one([50] * 20)]
    found = side_by_side(both, [*one_by_one([50] * 20), *one_by_one([900] * 20, phase="cold")])
    assert [model.phase for model in found.models] == ["cold", "warm"]
    assert concluded(found) == []


def test_a_client_that_could_not_keep_up_proves_nothing() -> None:
    bad = Summary(valid=False, invalid_because=("The client was late.",))
    sides = [
        (benchmark("a"), one_by_one([50] * 20)),
        (benchmark("b", summary=bad), one_by_one([90] * 20)),
    ]
    found = compare(sides)
    assert concluded(found) == []
    assert verdict(found, "ttft_s").reason == "the client could not keep up in b"
    assert found.invalid == {"b": ("The client was late.",)}
    assert decide(found, [rule("ttft_s>500%")]).failures == (
        "b is not valid: The client was late.",
    )


def test_what_cannot_be_tested_says_why() -> None:
    found = side_by_side(one_by_one([50] * 20), one_by_one([90] * 20, timings=None))
    assert verdict(found, "prefill_tokens_per_s").reason == "only one of them has figures for it"
    assert "client" in verdict(found, "schedule_delay_s").reason


def test_models() -> None:
    def asked(*names: str) -> list[Sample]:
        return [one for name in names for one in one_by_one([50] * 7, model=name)]

    found = side_by_side(asked("a", "b"), asked("b", "c"), asked("b"))
    assert [model.names for model in found.models] == [("b", "b", "b")]
    assert found.missing == {"a": ("b0",), "c": ("b1",)}
    assert len(found.models[0].metrics[0].differences) == 2
    renamed = side_by_side(asked("a"), asked("b"))
    assert [model.names for model in renamed.models] == [("a", "b")]
    assert [one.what for one in renamed.conditions] == ["model"]


def test_answers_side_by_side() -> None:
    found = side_by_side(
        [*one_by_one([50, 50]), answer(2, item=1, text="4")],
        [*one_by_one([50, 50], text="Lyon."), answer(2, item=1, text="4")],
    )
    first, second = found.models[0].answers
    assert (first.texts, first.same) == (("Paris.", "Lyon."), False)
    assert (second.texts, second.same) == (("4", "4"), True)
    (share,) = found.models[0].same_answers
    assert share == pytest.approx(1 / 3)


def environment(**given: Any) -> dict[str, Any]:
    model = {
        "model": "m",
        "engine": "e",
        "engine_kind": "ollama",
        "address": "127.0.0.1",
        "quantization": "Q4_K_M",
        "digest": "aa",
        "context_tokens": 4096,
        "engine_version": "1",
        "threads": 2,
    }
    governor = given.pop("governor", "performance")
    return {
        "environment": Environment(models=(ModelEnvironment.model_validate({**model, **given}),)),
        "system_info": SystemInfo(
            platform="Linux",
            processor="x",
            python_version="3.11",
            novasystem_version="0.1.0",
            cpu=Cpu(total_cores=2, governor=governor),
            memory=Memory(total=8, available=4, used=4, percent_used=50),
        ),
    }


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("quantization", "Q8_0"),
        ("digest", "bb"),
        ("context_tokens", 8192),
        ("engine_version", "2"),
        ("threads", None),
        ("governor", "powersave"),
    ],
)
def test_what_was_not_the_same_is_told(what: str, value: Any) -> None:
    plain = benchmark("a", **environment())
    other = benchmark("b", **environment(**{what: value}))
    samples = one_by_one([50])
    assert (
        compare([(plain, samples), (plain.model_copy(update={"id": "c"}), samples)]).conditions
        == ()
    )
    (found,) = compare([(plain, samples), (other, samples)]).conditions
    assert found.what == {"governor": "cpu_governor"}.get(what, what)
    assert found.values[1] == (None if value is None else str(value))
    assert found.model == (None if what == "governor" else "m")


def test_plans_that_differ_are_told_last() -> None:
    plan = PLAN.model_copy(update={"parameters": Parameters(seed=1)})
    other = benchmark("b", plan=plan, **environment(digest="bb"))
    found = compare([(benchmark("a", **environment()), [answer()]), (other, [answer()])])
    assert [one.what for one in found.conditions] == ["digest", "parameters"]


def test_the_wall_clock_takes_no_part() -> None:
    """A benchmark that ended, by it, long before it began compares as any other."""
    early = benchmark("b0")
    late = benchmark("b1", timestamp="2030-01-01T00:00:00Z", ended_at="1999-01-01T00:00:00Z")
    one, other = drawn(seed=1), drawn(seed=2)
    assert compare([(early, one), (late, other)]) == side_by_side(one, other)


def test_two_different_benchmarks_are_needed() -> None:
    one = (benchmark("a"), [answer()])
    for sides in ([], [one], [one, one]):
        with pytest.raises(InvalidRequest):
            compare(sides)
    nothing = side_by_side([], [])
    assert (nothing.models, nothing.missing) == ((), {})


# The gate.


def test_rules() -> None:
    assert rule("ttft_s>10%") == Rule("ttft_s", 0.1, True)
    assert rule(" e2e_s > .25 ") == Rule("e2e_s", 0.25, False)
    assert str(rule("ttft_s>10%")) == "ttft_s>10%"
    assert rule("failed_share>5%") == Rule("failed_share", 0.05, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ttft_s", "is no rule"),
        ("ttft_s<10%", "is no rule"),
        ("ttft_s>-1", "is no rule"),
        ("ttft_s>ten", "is no rule"),
        ("ttft>10%", ", ".join(METRICS)),
        ("schedule_delay_s>10%", "cannot be gated on"),
        ("ttft_s>" + "9" * 400, "no limit"),
    ],
)
def test_what_is_no_rule_is_told(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        rule(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("e2e_s>10%", False),
        ("e2e_s>50%", True),
        ("e2e_s>0.1", False),
        ("e2e_s>1", True),
        ("output_tokens_per_s>10%", False),
        ("output_tokens_per_s>40%", True),
    ],
)
def test_a_regression_beyond_the_threshold_fails(text: str, passed: bool) -> None:
    found = decide(side_by_side(drawn(), drawn(1.3)), [rule(text)])
    assert found.passed is passed
    if not passed:
        assert found.failures[0].startswith(f"{text}: m (warm) in b1: ")
        assert found.failures[0].endswith("slower")
    assert decide(side_by_side(drawn(1.3), drawn()), [rule(text)]).passed


def test_without_evidence_nothing_fails_but_it_is_told() -> None:
    found = decide(side_by_side(one_by_one([50] * 3), one_by_one([90] * 3)), [rule("ttft_s>10%")])
    assert found.passed
    assert "no evidence: 3 and 3 blocks" in found.notes[0]


def test_a_gate_that_cannot_judge_does_not_pass() -> None:
    good = one_by_one([50] * 20)
    broken = [failed(number) for number in range(20)]
    (said,) = decide(side_by_side(good, broken), [rule("ttft_s>10%")]).failures
    assert "20 of 20 requests failed" in said
    untimed = one_by_one([50] * 20, timings=None)
    (said,) = decide(side_by_side(untimed, untimed), [rule("prefill_tokens_per_s>10%")]).failures
    assert "has no figure" in said
    both = [*good, *one_by_one([50] * 20, model="n")]
    (said,) = decide(side_by_side(both, good), [rule("ttft_s>10%")]).failures
    assert said == "n: not measured in b1"


def test_more_failures() -> None:
    good = one_by_one([50] * 20)
    worse = [*good[:18], failed(18), failed(19)]
    (said,) = decide(side_by_side(good, worse), [rule("failed_share>5%")]).failures
    assert "0.0% to 10.0%" in said
    assert decide(side_by_side(good, worse), [rule("failed_share>20%")]).passed
    assert decide(side_by_side(worse, good), [rule("failed_share>0%")]).passed
