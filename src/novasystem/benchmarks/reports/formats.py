"""Every format of a report, by name."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.reports.as_csv import results_csv, samples_csv
from novasystem.benchmarks.reports.as_html import as_html
from novasystem.benchmarks.reports.as_json import as_json
from novasystem.benchmarks.reports.as_markdown import as_markdown
from novasystem.benchmarks.reports.figures import Report
from novasystem.benchmarks.reports.table import as_text
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.telemetry.readings import Readings
from novasystem.errors import InvalidRequest

__all__ = ["FORMATS", "Format", "render"]


class Format(NamedTuple):
    """``ending``: of a file's name, with its dot."""

    function: Callable[[Report], str]
    media_type: str
    ending: str


FORMATS: dict[str, Format] = {
    "json": Format(as_json, "application/json", ".json"),
    "csv": Format(results_csv, "text/csv; charset=utf-8", ".csv"),
    "samples": Format(samples_csv, "text/csv; charset=utf-8", ".samples.csv"),
    "markdown": Format(as_markdown, "text/markdown; charset=utf-8", ".md"),
    "html": Format(as_html, "text/html; charset=utf-8", ".html"),
    "text": Format(as_text, "text/plain; charset=utf-8", ".txt"),
}


def render(
    name: str,
    benchmark: Benchmark,
    samples: Sequence[Sample] = (),
    readings: Readings | None = None,
) -> str:
    """A report by the name of its format; times of ``readings`` are those of the samples.

    Raises ``InvalidRequest`` for a name that is not known.
    """
    if name not in FORMATS:
        msg = f"There is no report of the format '{name}'."
        raise InvalidRequest(msg, hint=f"Formats: {', '.join(FORMATS)}.", param="format")
    return FORMATS[name].function(Report(benchmark, samples, readings))
