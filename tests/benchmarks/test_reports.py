"""Reports as their readers take them: nothing acts, nothing is lost, gaps have reasons."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import jsonschema
import pytest
from rich.console import Console

from novasystem.benchmarks.records import (
    Benchmark,
    CheckCount,
    ModelEnvironment,
    Problem,
    Result,
)
from novasystem.benchmarks.reports.as_json import export_schema, read_json
from novasystem.benchmarks.reports.figures import Report
from novasystem.benchmarks.reports.formats import FORMATS, render
from novasystem.benchmarks.reports.table import terminal
from novasystem.benchmarks.samples import Sample
from novasystem.errors import InvalidRequest
from tests.benchmarks import made

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _hostile() -> tuple[Benchmark, tuple[Sample, ...]]:
    """Everything that a model, an engine or a prompt may choose holds the worst."""
    bad = made.HOSTILE
    samples = tuple(replace(each, model=bad, text=bad, reasoning=bad) for each in made.samples(20))
    result = made.result(
        samples,
        error=Problem(code="engine_error", message=bad, hint=bad),
        errors={bad: 2},
        checks=(CheckCount(check=bad, passed=1, failed=1, failures=(bad,)),),
        response=bad,
    )
    metrics = {**result.metrics, bad: result.metrics["ttft_s"]}
    impact = result.system_impact.model_copy(
        update={"absent": {"gpu_percent": bad, "energy_j": bad}, "gpu_throttled": (bad,)}
    )
    result = result.model_copy(update={"metrics": metrics, "system_impact": impact})
    benchmark = made.benchmark((result,), prompt=bad, error=Problem(code="x", message=bad))
    place = ModelEnvironment(model=bad, engine=bad, engine_kind=bad, address=bad, digest=bad)
    plan = benchmark.plan
    assert plan is not None
    assert benchmark.system_info is not None
    changed = {
        "environment": benchmark.environment.model_copy(update={"models": (place,)}),
        "plan": plan.model_copy(update={"name": bad}),
        "system_info": benchmark.system_info.model_copy(update={"processor": bad}),
        "summary": benchmark.summary.model_copy(update={"valid": False, "invalid_because": (bad,)}),
    }
    return benchmark.model_copy(update=changed), samples


class _Page(HTMLParser):
    """Which elements a page has, with which attributes, and what it says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data


_HARMLESS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "h3",
    "p",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "pre",
    "details",
    "summary",
    "figure",
    "figcaption",
    "svg",
    "line",
    "text",
    "path",
    "rect",
    "span",
    "i",
}


def test_html_has_no_element_that_acts_whatever_a_model_says() -> None:
    benchmark, samples = _hostile()
    page = _Page(render("html", benchmark, samples, made.readings()))
    assert {tag for tag, _ in page.elements} <= _HARMLESS
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert not {"href", "src", "srcset", "action", "style"} & attributes.keys()
    # It is still there to be read.
    assert "<script>alert(1)</script>" in page.said


def test_html_needs_nothing_from_elsewhere_and_lets_nothing_run() -> None:
    page = render("html", made.benchmark(), made.samples(20), made.readings())
    policy = [
        attributes["content"]
        for tag, attributes in _Page(page).elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy
    assert policy[0] is not None
    assert policy[0].startswith("default-src 'none'")
    assert "http" not in page.replace("http-equiv", "")
    assert "url(" not in page
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page


def test_html_draws_each_chart_that_there_are_figures_for() -> None:
    both = made.samples(20) + made.samples(20, model="qwen3:0.6b", first=20)
    page = render("html", made.benchmark(), both, made.readings())
    for title in ("Time to first token", "End-to-end", "Where the time", "tokens a second", "CPU"):
        assert re.search(f"<figcaption>[^<]*{title}", page)
    without = render("html", made.benchmark())
    assert "<figure>" not in without
    assert "no samples" in without


@pytest.mark.parametrize("name", ["csv", "samples", "markdown", "html", "text"])
def test_no_control_character_gets_into_a_report(name: str) -> None:
    benchmark, samples = _hostile()
    report = render(name, benchmark, samples, made.readings())
    assert "alert(1)" in report
    assert _CONTROL.findall(report.replace("\r\n", "\n")) == []


def test_json_escapes_what_a_terminal_would_obey() -> None:
    benchmark, samples = _hostile()
    report = render("json", benchmark, samples)
    assert "\x1b" not in report
    assert json.loads(report)["benchmark"]["prompt"] == made.HOSTILE


def test_the_terminal_shows_no_sequence_of_a_models_and_no_markup_of_its() -> None:
    result = made.result(made.samples(20, model="[bold red]x[/] \x1b]0;owned\x07\x1b[31m"))
    console = Console(width=160, force_terminal=True, color_system="truecolor")
    with console.capture() as captured:
        console.print(terminal(Report(made.benchmark((result,)))))
    shown = captured.get()
    assert "\x1b]0" not in shown
    assert "\x1b[31m" not in shown
    assert "[bold red]x[/]" in shown


def test_csv_cells_are_no_formulas() -> None:
    for start in ("=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "＝1"):  # noqa: RUF001
        samples = tuple(replace(each, text=start) for each in made.samples(2))
        result = made.result(samples, response=start)
        for name in ("csv", "samples"):
            report = render(name, made.benchmark((result,)), samples)
            for row in csv.reader(io.StringIO(report)):
                for cell in row:
                    known_number = re.fullmatch(r"-?[0-9.e-]+", cell)
                    assert known_number or not cell.lstrip().startswith(("=", "+", "-", "@", "＝"))  # noqa: RUF001


def test_csv_of_results_has_a_row_for_each_with_the_same_columns() -> None:
    benchmark = made.benchmark((made.result(made.samples(20)), made.failed_result()))
    rows = list(csv.DictReader(io.StringIO(render("csv", benchmark))))
    assert [row["model"] for row in rows] == ["nova-tiny", "llama3.2:1b"]
    assert rows[0]["ttft_s_mean"] == str(benchmark.results[0].metrics["ttft_s"].mean)
    # Absent is empty, never zero.
    assert rows[1]["ttft_s_mean"] == ""
    assert rows[1]["error_code"] == "engine_unavailable"
    assert rows[0]["memory_delta"] == "-0.01"


def test_csv_of_samples_has_a_row_for_each_request_failures_included() -> None:
    samples = (*made.samples(2), made.failed_sample(2))
    rows = list(csv.DictReader(io.StringIO(render("samples", made.benchmark(), samples))))
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert float(rows[0]["ttft_s"]) == pytest.approx(0.05)
    assert rows[2]["ttft_s"] == ""
    assert rows[2]["failure_code"] == "engine_unavailable"


def test_json_fits_its_schema_and_reads_back_equal() -> None:
    benchmark = made.benchmark((made.result(made.samples(20)), made.failed_result()))
    samples = (*made.samples(3), made.failed_sample(3))
    report = render("json", benchmark, samples, made.readings())
    jsonschema.validate(json.loads(report), export_schema())
    again = read_json(report)
    assert again.benchmark == benchmark
    assert tuple(again.samples) == samples
    assert again.readings == made.readings()


def test_json_of_half_a_character_is_still_json() -> None:
    result = made.result(made.samples(2), response="half \ud83d of one")
    report = render("json", made.benchmark((result,)))
    assert "half ? of one" in json.loads(report)["benchmark"]["results"][0]["response"]
    for name in FORMATS:
        render(name, made.benchmark((result,))).encode()


def test_markdown_tables_keep_their_columns_and_fences_hold() -> None:
    benchmark, samples = _hostile()
    report = render("markdown", benchmark, samples)
    outside = re.sub(r"^(`{3,})text\n.*?\n\1$", "", report, flags=re.MULTILINE | re.DOTALL)
    assert r"alert\(1\)" in outside
    assert "<" not in outside
    assert not re.search(r"(?<!\\)!\[", outside)
    assert not re.search(r"(?<!\\)\]\(", outside)
    for table in re.findall(r"(?:^\|.*\n?)+", outside, flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1


def test_an_invalid_benchmark_says_so_before_its_figures_and_marks_them() -> None:
    benchmark = made.benchmark()
    lagged = benchmark.summary.model_copy(
        update={"valid": False, "invalid_because": ("its event loop was 48 ms late",)}
    )
    lagged_benchmark = benchmark.model_copy(update={"summary": lagged})
    for name in ("markdown", "html", "text"):
        assert "INVALID" not in render(name, benchmark)
        report = render(name, lagged_benchmark)
        assert "INVALID" in report
        assert "48 ms late" in report
        assert "51.2 ms ± 1.02 ms ?" in report


@pytest.mark.parametrize("name", ["markdown", "html", "text"])
def test_a_dash_has_its_reason(name: str) -> None:
    benchmark = made.benchmark((made.result(made.samples(5)), made.failed_result()))
    report = render(name, benchmark)
    assert "a 95th percentile needs 20 requests, and 5 succeeded" in report
    assert "none of its requests succeeded" in report
    if name != "text":
        assert "this machine has no RAPL" in report


def test_a_benchmark_without_anything_has_every_report() -> None:
    bare = Benchmark(
        id="b1", timestamp=made.TIMESTAMP, status="cancelled", mode="sequential", results=()
    )
    empty = Result(model="m", success=False, timestamp=made.TIMESTAMP)
    for benchmark in (bare, bare.model_copy(update={"results": (empty,)})):
        for name in FORMATS:
            report = render(name, benchmark)
            assert name in {"csv", "samples"} or "b1" in report


def test_a_format_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidRequest, match="'pdf'") as refused:
        render("pdf", made.benchmark())
    assert "html" in refused.value.hint


def test_goodput_and_tokens_are_shown_and_what_is_not_known_is_not() -> None:
    benchmark = made.benchmark((made.result(made.samples(20), goodput_per_s=1.75),))
    for name in ("markdown", "html"):
        report = render(name, benchmark)
        assert "met their objectives" in report
        assert "1.75" in report
        assert "of these reasoning" not in report
