"""What a benchmark's watchers are told, from its records."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from novasystem.benchmarks.plan import Plan, Prompt
from novasystem.benchmarks.sample_log import End, Header, Live, ModelState, Record
from novasystem.benchmarks.samples import Failure
from novasystem.benchmarks.telemetry import MachineFigures, Reading, ServerReading
from novasystem.benchmarks.telemetry.figures import between
from novasystem.benchmarks.telling import Teller
from novasystem.benchmarks.thinning import Thinning
from tests.benchmarks.made import failed_sample, sample

M = "nova-tiny"
S = 1_000_000_000
PLAN = Plan(models=(M,), workload=Prompt(prompt="Hi."), repetitions=1000, warm_up=0)


def told(records: Iterable[Record | MachineFigures], plan: Plan = PLAN) -> list[dict[str, Any]]:
    teller = Teller(plan)
    return [{"type": type_, **said} for record in records for type_, said in teller.tell(record)]


def of(events: Iterable[dict[str, Any]], type_: str, *names: str) -> list[Any]:
    found = [event for event in events if event["type"] == type_]
    return [tuple(event[name] for name in names) for event in found] if names else found


def machine(at_ns: int, absent: dict[str, str] | None = None) -> MachineFigures:
    return MachineFigures(at_ns, (12.4, 100.0), 2400.4, 5, {"e": None}, (), None, absent or {})


def test_a_request_is_told_from_its_begin_to_its_end_on_one_axis() -> None:
    events = told(
        [
            Header({}, "b", 0, 0, "", 1),
            ModelState(M, "started", S),
            ModelState(M, "phase", S, "warm"),
            Live(M, 0, 2 * S),
            Live(M, 0, 3 * S, "one ", chunks=1, since_ns=2 * S + S // 2),
            machine(3 * S + 1),
            Live(M, 0, 4 * S + S // 2, "two three", chunks=2, since_ns=4 * S),
            replace(sample(0, model=M), ended_ns=4 * S + S // 2),
            ModelState(M, "done", 5 * S),
            End("completed", 5 * S),
        ]
    )
    types = [event["type"] for event in events]
    assert types[0] == "started"
    assert types[-1] == "loaded"
    assert all(event["elapsed_s"] >= 0 for event in events)
    statuses = [status for (status,) in of(events, "model", "status")]
    assert statuses == ["starting", "starting", "first_token", "generating", "done"]
    first, second = of(events, "token")
    assert (first["text"], first["ttft_s"], first["chunks"]) == ("one ", 0.5, 1)
    assert (second["text"], second["chunks"], second["chunks_per_s"]) == ("two three", 3, 1.0)
    assert (first["elapsed_s"], second["elapsed_s"]) == (3.0, 4.5)
    assert of(events, "machine", "elapsed_s", "cpu_percent") == [(3.0, [12, 100])]
    assert of(events, "progress", "done", "total", "failed")[-1] == (1, 1000, 0)


def test_who_answers_at_once_has_had_a_first_token_too() -> None:
    events = told([ModelState(M, "started", 1), sample(0, model=M)])
    assert [status for (status,) in of(events, "model", "status")] == [
        "starting",
        "first_token",
        "generating",
    ]


def test_a_failure_is_told_and_is_no_first_token() -> None:
    bad = failed_sample(0, model=M)
    gone = ModelState(M, "failed", 3 * S, failure=Failure("model_timeout", "too long", "wait"))
    events = told([ModelState(M, "started", 1), bad, gone])
    assert [status for (status,) in of(events, "model", "status")] == ["starting", "failed"]
    assert of(events, "model", "error")[-1][0]["code"] == "model_timeout"
    [(error,)] = of(events, "sample", "error")
    assert error is not None
    assert of(events, "progress", "done", "failed")[-1] == (1, 1)


def test_why_something_is_absent_is_told_once_and_when_it_changes() -> None:
    reasons = [{"gpu": "none"}, {"gpu": "none"}, {}, {}]
    events = told(machine(at * S, reason) for at, reason in enumerate(reasons, 1))
    assert [event.get("absent") for event in events] == [{"gpu": "none"}, None, {}, None]


def test_the_log_of_a_long_benchmark_stays_small_and_no_text_is_lost() -> None:
    """An hour of 20 pieces a second, the machine three times a second, and 200 requests a second
    for the last minute."""

    def records() -> Iterator[Record | MachineFigures]:
        yield ModelState(M, "started", 0)
        yield Live(M, 0, 0)
        for n in range(1, 72_000):
            yield Live(M, 0, n * S // 20, f"{n} ", chunks=1, since_ns=n * S // 20)
            if n % 6 == 0:
                yield machine(n * S // 20 + 1)
        yield replace(sample(0, model=M), ended_ns=3600 * S)
        for n in range(1, 12_000):
            yield replace(sample(1, model=M), ended_ns=3600 * S + n * S // 200)
        yield ModelState(M, "done", 3700 * S)

    events = told(records())
    text = "".join(text for (text,) in of(events, "token", "text"))
    assert text == "".join(f"{n} " for n in range(1, 72_000))
    counts = {kind: len(of(events, kind)) for kind in ("token", "machine", "sample", "progress")}
    assert 10_000 < counts["token"] < 17_000, counts
    assert 2_500 < counts["machine"] < 4_500, counts
    assert 100 < counts["sample"] < 300, counts
    assert counts["progress"] < 100, counts
    assert of(events, "progress", "done")[-1] == (12_000,)


def test_the_log_of_many_quick_answers_stays_small_and_a_slow_one_is_told_whole() -> None:
    """An hour of 20 a second that take 10 ms each, and one then that takes a minute."""
    hour = 72_000
    answer = sample(0, model=M)

    def records() -> Iterator[Record]:
        yield ModelState(M, "started", 0)
        for n in range(hour):
            at_ns = n * S // 20
            yield Live(M, n, at_ns)
            yield Live(M, n, at_ns + 8_000_000, "x", chunks=1, since_ns=at_ns + 8_000_000)
            yield replace(answer, number=n, ended_ns=at_ns + 9_000_000)
        yield Live(M, hour, 3600 * S)
        for n in range(1, 600):
            at_ns = 3600 * S + n * S // 10
            yield Live(M, hour, at_ns, f"{n} ", chunks=1, since_ns=at_ns)
        yield replace(answer, number=hour, ended_ns=3660 * S)

    events = told(records())
    followed = of(events, "request", "number")
    # many · (1 + ln(t / (every_s · many))) and the first hundred.
    assert 1_000 < len(followed) < 3_900
    assert len(of(events, "token")) < len(followed) + 100
    assert [number for (number,) in followed[:100]] == list(range(100))
    text = "".join(text for number, text in of(events, "token", "number", "text") if number == hour)
    assert text == "".join(f"{n} " for n in range(1, 600))


def test_what_was_held_back_is_told_while_nothing_else_comes() -> None:
    teller = Teller(PLAN)
    teller.tell(ModelState(M, "started", 0))
    late = 8000 * S
    teller.tell(Live(M, 0, late))
    for n in (1, 2):
        teller.tell(Live(M, 0, late + n, f"{n}", chunks=1, since_ns=late + n))
    later = [{"type": type_, **said} for type_, said in teller.tell(machine(late + 10 * S))]
    assert of(later, "token", "text") == [("2",)]


@pytest.mark.parametrize(("every_s", "many"), [(0.25, 1000), (0.05, 2000)])
def test_a_thinning_is_as_rare_as_it_says(every_s: float, many: int) -> None:
    thinning = Thinning(every_s=every_s, many=many)
    told_at = [at for at in range(0, 3600 * 100) if thinning.due(at * S // 100)]
    gaps = [(after - at) / 100 for at, after in pairwise(told_at)]
    assert min(gaps) >= every_s
    assert max(gaps) <= 3600 / many + 0.02


def test_use_is_that_between_two_looks() -> None:
    before = Reading(10 * S, (1.0, 1.0), (10.0, 10.0), None, 7, (ServerReading(5, 1.0, 1), None))
    after = Reading(
        12 * S, (1.5, 3.0), (12.0, 12.0), 2000.0, 9, (ServerReading(6, 4.0, 1), None), (), 5.0
    )
    seen = between(before, after, ("a", "b"), {"server.b": "why"}, origin_ns=10 * S)
    assert (seen.at_ns, seen.cpu_percent, seen.memory_bytes) == (2 * S, (25.0, 100.0), 9)
    assert seen.plain()["servers"] == {"a": {"cpu_percent": 150, "memory_bytes": 6}, "b": None}
    assert seen.cpu_power_w is None
    assert seen.absent == {"server.b": "why"}
