"""Two tables for spreadsheets: a row for each model, or a row for each request."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from novasystem.benchmarks.metrics import METRICS
from novasystem.benchmarks.records import Impact, Result
from novasystem.benchmarks.reports.figures import Report
from novasystem.benchmarks.reports.words import plain
from novasystem.benchmarks.samples import Sample

__all__ = ["results_csv", "samples_csv"]

_FIGURES = ("n", "mean", "ci_low", "ci_high", "p50", "p90", "p95", "p99", "min", "max")
_IMPACT = [
    name
    for name, field in Impact.model_fields.items()
    if name not in {"absent", "cpu_before", "cpu_during", "cpu_delta", "gpu_throttled"}
]
# By one of these a spreadsheet knows a formula; the wide ones are taken for them in East Asia.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001


def results_csv(report: Report) -> str:
    """One row for each result; an empty cell is an absent value."""
    return _written(_result(report, result) for result in report.benchmark.results)


def samples_csv(report: Report) -> str:
    """One row for each sample, with the metrics that are made from it."""
    return _written(_sample(report, sample) for sample in report.samples)


def _result(report: Report, result: Result) -> dict[str, Any]:
    benchmark, error = report.benchmark, result.error
    row: dict[str, Any] = {
        "benchmark_id": benchmark.id,
        "timestamp": result.timestamp.isoformat(),
        "status": benchmark.status,
        "mode": benchmark.mode,
        "valid": benchmark.summary.valid,
        "model": result.model,
        "success": result.success,
        "error_code": error.code if error else None,
        "error_message": error.message if error else None,
        "requests": result.requests,
        "failed": result.failed,
        **result.timing.model_dump(),
        **result.throughput.model_dump(),
        **{f"{name}_tokens": value for name, value in result.tokens.model_dump().items()},
        "goodput_per_s": result.goodput_per_s,
        "checks_passed": sum(check.passed for check in result.checks),
        "checks_failed": sum(check.failed for check in result.checks),
    }
    for name, metric in _all_metrics(report, result).items():
        row |= {f"{name}_{figure}": metric.get(figure) for figure in _FIGURES}
    row |= {name: getattr(result.system_impact, name) for name in _IMPACT}
    row |= {"prompt": benchmark.prompt, "response": result.response}
    return row


def _all_metrics(report: Report, result: Result) -> dict[str, Mapping[str, Any]]:
    """Those that any result has, so that every row has the same columns."""
    names = dict.fromkeys(name for each in report.benchmark.results for name in each.metrics)
    return {
        name: result.metrics[name].model_dump() if name in result.metrics else {} for name in names
    }


def _sample(report: Report, sample: Sample) -> dict[str, Any]:
    timings, failure = sample.timings, sample.failure
    row: dict[str, Any] = {"benchmark_id": report.benchmark.id}
    row |= {
        name: getattr(sample, name)
        for name in Sample.__dataclass_fields__
        if name not in {"arrivals", "timings", "failure", "text", "reasoning"}
    }
    row |= {name: metric.function(sample) for name, metric in METRICS.items() if name not in row}
    row |= {
        "server_load_s": timings.load_s if timings else None,
        "server_prefill_s": timings.prefill_s if timings else None,
        "server_decode_s": timings.decode_s if timings else None,
        "failure_code": failure.code if failure else None,
        "failure_message": failure.message if failure else None,
        "text": sample.text,
        "reasoning": sample.reasoning,
    }
    return row


def _written(rows: Iterable[dict[str, Any]]) -> str:
    """RFC 4180, with a line of headings; nothing at all where there is no row."""
    file = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(
                file, [_cell(name) for name in row], quoting=csv.QUOTE_NONNUMERIC
            )
            writer.writeheader()
        writer.writerow({_cell(name): _cell(value) for name, value in row.items()})
    return file.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula begins with an apostrophe instead, as
    OWASP advises; control characters are gone."""
    if isinstance(value, bool) or not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else value
    text = plain(value)
    # Some trim a cell before they look at it.
    if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA):
        return f"'{text}"
    return text
