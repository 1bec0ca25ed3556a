"""Charts: axes of round numbers, no peak lost, nothing that is not a number drawn."""

import math
import re
from dataclasses import replace

import pytest

from novasystem.benchmarks.reports.charts import Bar, Line, axis, bars, lines, thinned, ticks
from novasystem.benchmarks.reports.drawn import charts
from novasystem.benchmarks.reports.figures import Report, distributions, headline
from novasystem.benchmarks.reports.words import gib, line, plain, rate, seconds
from novasystem.benchmarks.telemetry import Readings
from tests.benchmarks import made


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 0.05, [0, 0.01, 0.02, 0.03, 0.04, 0.05]),
        (0, 1234, [0, 500, 1000, 1500]),
        (-2, 10, [-5, 0, 5, 10]),
        (3, 3, [3]),
        (0, math.inf, [0]),
    ],
)
def test_ticks_are_round_and_cover_the_span(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_labels_of_an_axis_are_told_apart() -> None:
    assert axis([0.2, 0.2005, 0.201], "s") == ["200.0 ms", "200.5 ms", "201.0 ms"]
    assert axis([0, 0.5, 1], "%") == ["0 %", "50 %", "100 %"]
    assert axis([0, 2, 4], "s") == ["0 s", "2 s", "4 s"]
    assert axis([3.0], "") == ["3"]


def test_thinning_keeps_ends_and_peaks() -> None:
    points = [(float(x), 0.0) for x in range(100_000)]
    points[54_321] = (54_321.0, 9.0)
    kept = thinned(points)
    assert len(kept) < 1000
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert (54_321.0, 9.0) in kept
    assert list(kept) == sorted(kept)


def test_what_is_no_number_is_not_drawn() -> None:
    odd = [(0.0, 1.0), (1.0, math.nan), (math.inf, 1.0), (2.0, 2.0)]
    drawn = lines("t", [Line("a", odd, 0)], x="s", y="")
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert len(re.findall(r"[ML]\d", drawn)) == 2


@pytest.mark.parametrize("points", [[(1.0, 0.0)], [(1.0, 5.0)], [(1.0, 0.0), (1.0, 0.0)]])
def test_one_point_and_nothing_but_zeroes_are_drawn(points: list[tuple[float, float]]) -> None:
    assert "<svg" in lines("t", [Line("a", points, 0)], x="s", y="")


def test_nothing_to_draw_is_no_chart() -> None:
    assert lines("t", [Line("a", [], 0)], x="s", y="") == ""
    assert bars("t", [Bar("a", [("p", 0.0, 0)])]) == ""
    assert list(charts(Report(made.benchmark()))) == []


def test_failures_and_warm_ups_are_in_no_chart() -> None:
    counted = made.samples(5)
    others = (made.failed_sample(5), made.sample(6, counted=False, first_token_ns=10**12))
    benchmark = made.benchmark((made.result(counted),))
    assert list(charts(Report(benchmark, (*counted, *others)))) == list(
        charts(Report(benchmark, counted))
    )


def test_the_split_of_a_request_adds_up() -> None:
    samples = made.samples(1)
    drawn = "".join(charts(Report(made.benchmark((made.result(samples),)), samples)))
    parts = {
        name: text
        for name, text in re.findall(r"<title>nova-tiny, ([^<:]+)[^<]*: ([^<]+)</title>", drawn)
    }
    # 50 ms to the first token, of which the server says 2 and 30; then fifteen tokens of 10 ms.
    assert parts["loading the model"] == "2.00 ms"
    assert parts["evaluating the prompt"] == "30.0 ms"
    assert parts["generating"] == "150 ms"


def test_without_the_servers_timings_no_split_is_made_up() -> None:
    samples = tuple(replace(each, timings=None) for each in made.samples(3))
    drawn = "".join(charts(Report(made.benchmark((made.result(samples),)), samples)))
    assert "not told apart" in drawn
    assert "evaluating the prompt" not in drawn


def test_readings_of_one_look_draw_nothing() -> None:
    one = Readings(made.readings().rows[:1], ("embedded",))
    assert list(charts(Report(made.benchmark(), (), one))) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"),
        (0.0, "0 s"),
        (0.00012, "120 µs"),
        (0.0503, "50.3 ms"),
        (0.9996, "1.00 s"),
        (12.34, "12.3 s"),
        (3600, "60.0 min"),
        (-0.01, "-10.0 ms"),
    ],
)
def test_seconds_are_shown_in_the_unit_that_fits(value: float | None, expected: str) -> None:
    assert seconds(value) == expected


def test_other_figures_as_words() -> None:
    assert (gib(0.5), gib(-0.01), gib(23.5), gib(None)) == ("512 MiB", "-10.2 MiB", "23.5 GiB", "-")
    assert (rate(1234.5), rate(0.03), rate(None)) == ("1,234", "0.0300", "-")


def test_plain_text_keeps_what_is_written_and_drops_what_steers() -> None:
    assert plain("a\x1b[2Jb\x00\x9b\x7f\tc\nd\r\ne") == "a[2Jb\tc\nd\ne"
    assert plain("\u202eabc\u2066\u200b\ufeff") == "abc"
    assert plain("नमस्ते 👩‍🔬 é 日本") == "नमस्ते 👩‍🔬 é 日本"
    assert line("a\n\n  b\u2028c" + "d" * 10, 8) == "a b cdd…"


def test_phases_share_no_line_and_no_row() -> None:
    warm = made.samples(3)
    cold = tuple(replace(each, phase="cold") for each in made.samples(3, first=3))
    result = made.result(warm)
    more = {f"{name}@cold": each for name, each in result.metrics.items()}
    result = result.model_copy(update={"metrics": {**result.metrics, **more}})
    benchmark = made.benchmark((result,))
    assert benchmark.plan is not None
    plan = benchmark.plan.model_copy(update={"phases": ("cold", "warm")})
    report = Report(benchmark.model_copy(update={"plan": plan}), (*warm, *cold))
    drawn = "".join(charts(report))
    assert "nova-tiny (warm) (3)" in drawn
    assert "nova-tiny (cold) (3)" in drawn
    rows = [row.cells for row in headline(report.benchmark)]
    assert [row[0] for row in rows] == ["nova-tiny (warm)", "nova-tiny (cold)"]
    assert [row[5] for row in rows] == ["3", ""]
    assert ("ttft_s@cold", "3", "51.0 ms") in [row[:3] for row in distributions(result)]


def test_a_sweep_has_its_knee_drawn() -> None:
    result = made.result(made.samples(3))
    steps = {
        f"ttft_s@{rate}/s": made.distribution([0.05 * float(rate)])
        for rate in ("4", "0.5", "1e+03")
    }
    swept = result.model_copy(update={"metrics": {**result.metrics, **steps}})
    drawn = "".join(charts(Report(made.benchmark((swept,)))))
    assert "by requests a second" in drawn
    assert "by requests a second" not in "".join(charts(Report(made.benchmark((result,)))))
