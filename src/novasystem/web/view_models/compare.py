"""A comparison: what was not the same, each figure with its verdict, answers beside each other."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from novasystem.benchmarks.comparison import (
    AnswerPair,
    Comparison,
    Difference,
    MetricComparison,
    ModelComparison,
)
from novasystem.benchmarks.differences import Condition as Compared
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.reports.words import gone, line, plain, rate, seconds, share
from novasystem.web.view_models.benchmarks import title
from novasystem.web.view_models.words import Badge, Moment, mode_badge, status_badge

__all__ = ["CompareView", "marked"]

_MOST_CHARS = 6000
_MOST_ANSWERS = 5
_WORD = re.compile(r"\s+|[^\s\w]|\w+")
_FIRST = ("ttft_s", "output_tokens_per_s", "e2e_s", "tpot_s")

Piece = tuple[Literal["", "ins", "del"], str]
"""A stretch of a text: the same as the first one's, only here, or only there."""


@dataclass(frozen=True, slots=True)
class Side:
    id: str
    letter: str
    title: str
    at: Moment
    mode: Badge
    status: Badge
    models: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One benchmark's value, and how it differs from the first one's."""

    value: str
    change: str
    verdict: Badge | None
    reason: str


@dataclass(frozen=True, slots=True)
class MetricRow:
    title: str
    hint: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """``pieces``: ``None`` where there was no answer."""

    letter: str
    pieces: tuple[Piece, ...] | None
    cut: bool


@dataclass(frozen=True, slots=True)
class Question:
    label: str
    same: bool
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class ModelView:
    name: str
    phase: str
    requests: str
    rows: tuple[MetricRow, ...]
    more: tuple[MetricRow, ...]
    reasons: tuple[str, ...]
    questions: tuple[Question, ...]
    agreement: str


@dataclass(frozen=True, slots=True)
class Condition:
    what: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompareView:
    """``sides``: empty where nothing was chosen yet. ``problem``: why there is no comparison."""

    sides: tuple[Side, ...] = ()
    modes: tuple[Condition, ...] = ()
    conditions: tuple[Condition, ...] = ()
    models: tuple[ModelView, ...] = ()
    notes: tuple[str, ...] = ()
    footnote: str = ""
    problem: str = ""

    @classmethod
    def of(cls, benchmarks: Sequence[Benchmark], found: Comparison) -> "CompareView":
        letters = [_letter(number) for number in range(len(benchmarks))]
        named = dict(zip(found.benchmarks, letters, strict=True))
        notes = [
            f"{line(model, 80)} is only in {', '.join(named[one] for one in where)}."
            for model, where in found.missing.items()
        ]
        notes += [
            f"{named[one]} is not valid, its figures say more of the client: {'; '.join(why)}."
            for one, why in found.invalid.items()
        ]
        return cls(
            sides=tuple(
                _side(one, letter) for one, letter in zip(benchmarks, letters, strict=True)
            ),
            modes=_modes(benchmarks),
            conditions=tuple(row for one in found.conditions for row in _conditions(one)),
            models=tuple(_model(one, letters) for one in found.models),
            notes=tuple(notes),
            footnote=_footnote(found),
        )


def _footnote(found: Comparison) -> str:
    told = f"Each is held against A. A difference counts from {share(found.minimum_effect)} on."
    if found.tests:
        told += f" The p values are corrected for {found.tests} tests."
    return told


def _conditions(one: Compared) -> Iterator[Condition]:
    """A row; of what has parts, such as parameters, one for each part that differs."""
    name = f"{line(one.model, 40)}: {one.what}" if one.model else one.what.replace("_", " ")
    parts = [_parts(value) for value in one.values]
    if all(part is None for part in parts) or any(
        part is None and value is not None for part, value in zip(parts, one.values, strict=True)
    ):
        yield Condition(
            name, tuple(gone if value is None else line(value, 120) for value in one.values)
        )
        return
    for key in dict.fromkeys(key for part in parts for key in part or {}):
        found = [(part or {}).get(key) for part in parts]
        if any(value != found[0] for value in found):
            shown = (gone if value is None else line(_text(value), 120) for value in found)
            yield Condition(f"{name}: {key}", tuple(shown))


def _parts(value: str | None) -> dict[str, Any] | None:
    try:
        found = orjson.loads(value or "")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _side(benchmark: Benchmark, letter: str) -> Side:
    return Side(
        id=benchmark.id,
        letter=letter,
        title=title(benchmark),
        at=Moment.of(benchmark.timestamp),
        mode=mode_badge(benchmark.mode),
        status=status_badge(benchmark.status),
        models=line(", ".join(one.model for one in benchmark.results), 90),
    )


def _modes(benchmarks: Sequence[Benchmark]) -> tuple[Condition, ...]:
    """The figures of parallel and sequential benchmarks; none is given the other's."""
    found = [one.summary for one in benchmarks]
    rows = (
        ("Wall time", [seconds(one.wall_s) for one in found]),
        ("Average model time", [seconds(one.average_model_time) for one in found]),
        ("Total model time", [seconds(one.total_model_time) for one in found]),
        ("Parallel speed-up", [rate(one.parallel_speedup) for one in found]),
        ("Efficiency", [share(one.efficiency_ratio) for one in found]),
        ("Overhead", [seconds(one.overhead_s) for one in found]),
        ("Failed requests", [f"{one.failed_requests} of {one.requests}" for one in found]),
    )
    return tuple(Condition(name, tuple(values)) for name, values in rows if set(values) != {gone})


def _model(one: ModelComparison, letters: Sequence[str]) -> ModelView:
    names = list(dict.fromkeys(name for name in one.names if name))
    known = [metric for metric in one.metrics if any(value is not None for value in metric.values)]
    first = [metric for name in _FIRST for metric in known if metric.metric == name]
    more = [metric for metric in known if metric not in first]
    counts = ", ".join(
        f"{letter} {requests}" + (f" ({failed} failed)" if failed else "")
        for letter, requests, failed in zip(letters, one.requests, one.failed, strict=True)
    )
    shares = [
        f"{letter} {share(same)}"
        for letter, same in zip(letters[1:], one.same_answers, strict=False)
        if same is not None
    ]
    return ModelView(
        name=line(" / ".join(names), 120),
        phase=one.phase,
        requests=counts,
        rows=tuple(map(_row, first)),
        more=tuple(map(_row, more)),
        reasons=_reasons(first or more),
        questions=tuple(_question(pair, letters) for pair in one.answers[:_MOST_ANSWERS]),
        agreement=f"Answers that A had too: {', '.join(shares)}." if shares else "",
    )


def _reasons(metrics: Sequence[MetricComparison]) -> tuple[str, ...]:
    """Why there is no evidence, each reason once."""
    found = (each.reason for one in metrics for each in one.differences if each.reason)
    return tuple(f"No evidence: {line(reason)}." for reason in dict.fromkeys(found))


def _row(one: MetricComparison) -> MetricRow:
    show = seconds if one.unit == "s" else rate
    cells = [Cell(show(one.values[0]), "", None, "")]
    for value, difference in zip(one.values[1:], one.differences, strict=True):
        change = "" if difference.relative is None else f"{100 * difference.relative:+.1f} %"
        cells.append(Cell(show(value), change, _verdict(one, difference), difference.reason))
    hint = "" if one.better is None else f"{one.better} is better"
    return MetricRow(one.title, hint, tuple(cells))


def _verdict(one: MetricComparison, difference: Difference) -> Badge:
    verdict = difference.verdict
    p = "" if difference.p_value is None else f"p = {difference.p_value:.2g}"
    if verdict == "no evidence":
        return Badge("no evidence", "", difference.reason or p)
    if one.better is None:
        return Badge(verdict, "accent", p)
    # Faster is better of what is timed, and of rates as well.
    good = verdict == "faster" or verdict == one.better
    return Badge(verdict, "good" if good else "bad", p)


def _question(pair: AnswerPair, letters: Sequence[str]) -> Question:
    base = pair.texts[0]
    answers = []
    for letter, text in zip(letters, pair.texts, strict=True):
        if text is None:
            answers.append(Answer(letter, None, cut=False))
            continue
        shown = plain(text)[:_MOST_CHARS]
        pieces: tuple[Piece, ...] = (("", shown),)
        if text is not pair.texts[0] and base is not None:
            pieces = marked(plain(base)[:_MOST_CHARS], shown)
        answers.append(Answer(letter, pieces, cut=len(text) > _MOST_CHARS))
    label = f"Question {pair.item + 1}" + (f", turn {pair.turn + 1}" if pair.turn else "")
    return Question(label, pair.same, tuple(answers))


def marked(base: str, text: str) -> tuple[Piece, ...]:
    """``text`` as stretches, word by word: what ``base`` has too, what only one of them has."""
    before, after = _WORD.findall(base), _WORD.findall(text)
    pieces: list[Piece] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=len(before) > 2000)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            pieces.append(("", "".join(after[j1:j2])))
            continue
        if i2 > i1:
            pieces.append(("del", "".join(before[i1:i2])))
        if j2 > j1:
            pieces.append(("ins", "".join(after[j1:j2])))
    return tuple(pieces)
