"""``nova bench compare``: what differs between benchmarks, and whether that fails a build."""

import asyncio
import sys
from collections.abc import Sequence

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from novasystem.benchmarks.compare import MINIMUM_EFFECT, compare
from novasystem.benchmarks.comparison import Comparison, Difference, MetricComparison
from novasystem.benchmarks.gate import Outcome, decide, rule
from novasystem.benchmarks.local import Local
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.reports.words import gone, line, rate, seconds
from novasystem.benchmarks.samples import Sample
from novasystem.cli.benching.opening import GOING, find, with_store
from novasystem.cli.text import printable
from novasystem.errors import InvalidRequest
from novasystem.settings import Settings

__all__ = ["compare_stored"]

_PIPE = 200
_CELL = 60
_STYLES = {"slower": "red", "faster": "green", "higher": "yellow", "lower": "yellow"}


def compare_stored(
    settings: Settings,
    asked: Sequence[str],
    fail_on: Sequence[str],
    minimum_effect: float | None,
    *,
    as_json: bool,
) -> int:
    """1 where a rule fails, or, without any rule, where something got slower; else 0."""
    rules = [rule(text) for text in fail_on]

    async def work(local: Local) -> int:
        found = [await _with_samples(local, one) for one in asked]
        effect = MINIMUM_EFFECT if minimum_effect is None else minimum_effect
        compared = await asyncio.to_thread(compare, found, minimum_effect=effect)
        outcome = decide(compared, rules) if rules else Outcome(tuple(_slower(compared)), ())
        if as_json:
            said = {
                **compared.model_dump(mode="json"),
                "passed": outcome.passed,
                "failures": outcome.failures,
                "notes": outcome.notes,
            }
            sys.stdout.write(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode() + "\n")
        else:
            _print(compared)
        sys.stdout.flush()
        for text in outcome.failures:
            sys.stderr.write(f"Failed: {printable(line(text))}\n")
        for text in outcome.notes:
            sys.stderr.write(f"Note: {printable(line(text))}\n")
        return 0 if outcome.passed else 1

    return with_store(settings, work)


async def _with_samples(local: Local, asked: str) -> tuple[Benchmark, Sequence[Sample]]:
    benchmark = await find(local, asked)
    if benchmark.status in GOING:
        raise InvalidRequest(
            f"'{benchmark.id}' has not ended, so there is nothing to compare yet.",
            hint=f"'nova bench resume {benchmark.id}' carries on one that was broken off.",
        )
    return benchmark, await local.carrier.samples(benchmark)


def _slower(compared: Comparison) -> list[str]:
    return [
        f"{model.model} ({model.phase}) in {difference.benchmark}: {metric.metric} "
        f"{_change(difference)}, slower"
        for model in compared.models
        for metric in model.metrics
        for difference in metric.differences
        if difference.verdict == "slower"
    ]


def _print(compared: Comparison) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE)
    letters = [chr(ord("A") + place % 26) for place in range(len(compared.benchmarks))]
    for letter, id_, name in zip(letters, compared.benchmarks, compared.names, strict=True):
        console.print(Text(f"{letter}  {line(id_)}  {line(name or '')}".rstrip()))
    for id_, reasons in compared.invalid.items():
        console.print(Text(f"INVALID {line(id_)}: {line('; '.join(reasons))}", style="bold red"))
    if compared.conditions:
        console.print(_conditions(compared, letters))
    for name, having in compared.missing.items():
        console.print(Text(f"{line(name)} is only in {', '.join(having)}", style="yellow"))
    for model in compared.models:
        title = f"\n{line(model.model)}, {model.phase}: {_requests(model.requests, model.failed)}"
        console.print(Text(title, style="bold"))
        console.print(_metrics(model.metrics, letters))
        for letter, share in zip(letters[1:], model.same_answers, strict=True):
            if share is not None:
                console.print(Text(f"{letter}: {share:.0%} of the answers are as in {letters[0]}."))
    said = (
        f"Differences of medians from {letters[0]}: at least {compared.minimum_effect:.0%}, and "
        f"evidence at 1 % for all {compared.tests} comparisons together."
    )
    console.print(Text(said, style="dim"))


def _requests(requests: Sequence[int], failed: Sequence[int]) -> str:
    return " / ".join(
        f"{made} requests" + (f", {lost} failed" if lost else "")
        for made, lost in zip(requests, failed, strict=True)
    )


def _conditions(compared: Comparison, letters: Sequence[str]) -> Table:
    table = _table(["NOT THE SAME", *letters])
    for one in compared.conditions:
        what = one.what if one.model is None else f"{one.model}: {one.what}"
        table.add_row(*(Text(line(cell or gone, _CELL)) for cell in (what, *one.values)))
    return table


def _metrics(metrics: Sequence[MetricComparison], letters: Sequence[str]) -> Table:
    others = [name for letter in letters[1:] for name in (f"{letter} CHANGE", f"{letter} SAYS")]
    table = _table(["METRIC", *letters, *others], left={0, *range(len(letters) + 2, 99, 2)})
    for metric in metrics:
        show = seconds if metric.unit == "s" else rate
        cells = [Text(line(metric.metric)), *(Text(show(value)) for value in metric.values)]
        for difference in metric.differences:
            cells.append(Text(_change(difference)))
            cells.append(Text(_verdict(difference), style=_STYLES.get(difference.verdict, "dim")))
        table.add_row(*cells)
    return table


def _change(difference: Difference) -> str:
    return gone if difference.relative is None else f"{difference.relative:+.1%}"


def _verdict(difference: Difference) -> str:
    if difference.verdict == "no evidence":
        return "no evidence" + (f": {line(difference.reason, 80)}" if difference.reason else "")
    p_value = difference.p_value
    return difference.verdict + (f" (p {p_value:.2g})" if p_value is not None else "")


def _table(names: Sequence[str], left: set[int] | None = None) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, name in enumerate(names):
        right = left is not None and number not in left
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table
