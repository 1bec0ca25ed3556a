"""Carries an evaluation out and shows what came of it.

It has data of its own, which are gone at the end: so nothing of the user's memory helps an answer,
and nothing of the questions gets into it. Each question's sessions are deleted before the next one,
so that no answer is remembered from the other mode either.
"""

import asyncio
import datetime
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from novasystem import __version__
from novasystem.benchmarks.statistics import mean_interval
from novasystem.cli.door import Door, own_door
from novasystem.cli.failures import traced
from novasystem.cli.text import printable
from novasystem.errors import InvalidRequest, ModelNotFound, NovaError
from novasystem.nova.evaluation.outcome import MODES, Answered, figures
from novasystem.nova.evaluation.questions import Question, built_in, from_file
from novasystem.settings import Settings

__all__ = ["run_evaluation"]

_ENGINE_FAILED = 3
_CANCELLED = 130


def run_evaluation(
    settings: Settings,
    model: str,
    file: Path | None,
    *,
    kinds: Sequence[str],
    parameters: Mapping[str, Any],
    output: Path | None,
    as_json: bool,
) -> int:
    """The command's code: 0; 3 where an ask failed, 130 where it was cancelled."""
    questions = built_in() if file is None else from_file(file)
    known = dict.fromkeys(one.kind for one in questions)
    for kind in kinds:
        if kind not in known:
            raise InvalidRequest(
                f"There are no questions of the kind '{kind}'.", hint=f"Kinds: {', '.join(known)}."
            )
    asked = [one for one in questions if not kinds or one.kind in kinds]
    if output is not None and not output.parent.is_dir():
        raise InvalidRequest(f"There is no folder '{output.parent}'.", hint="Make it first.")
    answers: list[Answered] = []
    cancelled = False
    with traced(settings.log_level), TemporaryDirectory(prefix="nova-eval-") as folder:
        apart = settings.model_copy(update={"data_dir": Path(folder), "database_url": None})
        try:
            asyncio.run(_ask_all(apart, model, asked, parameters, answers))
        except KeyboardInterrupt:
            cancelled = True
    result = {
        "model": model,
        "program": __version__,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "complete": not cancelled,
        "parameters": dict(parameters),
        **figures(answers, mean_interval),
        "answers": [one.as_json() for one in answers],
    }
    if output is not None:
        _write(output, result)
    if as_json:
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
    else:
        _show(result)
    sys.stdout.flush()
    if cancelled:
        return _CANCELLED
    return _ENGINE_FAILED if any(one.error is not None for one in answers) else 0


async def _ask_all(
    settings: Settings,
    model: str,
    questions: Sequence[Question],
    parameters: Mapping[str, Any],
    answers: list[Answered],
) -> None:
    progress = _Progress(2 * len(questions))
    try:
        async with own_door(settings) as door:
            for number, question in enumerate(questions):
                # In turn, so that neither always finds warm what the other has left behind.
                for mode in MODES if number % 2 else reversed(MODES):
                    answer = await _answer(door, question, mode, model, parameters)
                    answers.append(answer)
                    progress.tell(answer)
    finally:
        progress.end()


async def _answer(
    door: Door, question: Question, mode: str, model: str, parameters: Mapping[str, Any]
) -> Answered:
    tokens: int | None = 0
    seconds = 0.0
    last: Mapping[str, Any] = {"text": "", "status": "failed"}
    error: str | None = None
    opened: list[str] = []
    try:
        for turns in question.sessions:
            session: dict[str, Any] = {}
            for turn in turns:
                body = {"prompt": turn, "mode": mode, "model": model, "include_chain": False}
                began = time.perf_counter()
                last = await _asked(door, {**body, **session, "parameters": dict(parameters)})
                seconds += time.perf_counter() - began
                if not session:
                    opened.append(last["session_id"])
                session = {"session_id": last["session_id"]}
                used = [last["metrics"][name] for name in ("prompt_tokens", "completion_tokens")]
                tokens = None if tokens is None or None in used else tokens + sum(used)
    except (InvalidRequest, ModelNotFound):
        # The same for every question.
        raise
    except NovaError as failed:
        error, tokens = str(failed), None
    for session_id in opened:
        await door.delete(session_id)
    return Answered(
        question.id,
        question.kind,
        mode,
        error is None and question.is_right(last["text"]),
        last["text"],
        last["status"] if error is None else "failed",
        tokens,
        round(seconds, 4),
        error,
    )


async def _asked(door: Door, body: Mapping[str, Any]) -> Mapping[str, Any]:
    async with aclosing(door.ask(body)) as events:
        async for event in events:
            if event["type"] == "done":
                return event
    raise AssertionError


class _Progress:
    """One line on a terminal that grows; one for each tenth elsewhere."""

    def __init__(self, asks: int) -> None:
        self._asks = asks
        self._done = 0
        self._right = dict.fromkeys(MODES, 0)
        self._moves = sys.stderr.isatty()

    def tell(self, answer: Answered) -> None:
        self._done += 1
        self._right[answer.mode] += answer.right
        right = ", ".join(f"{mode} {count} right" for mode, count in self._right.items())
        line = f"{self._done} of {self._asks} answers: {right}"
        if self._moves:
            sys.stderr.write(f"\r\x1b[K{line}")
        elif self._done % max(1, self._asks // 10) == 0:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._moves and self._done:
            sys.stderr.write("\n")
            sys.stderr.flush()


def _write(output: Path, result: Mapping[str, Any]) -> None:
    try:
        output.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as error:
        raise InvalidRequest(f"'{output}' cannot be written: {error.strerror}.") from error


def _show(result: Mapping[str, Any]) -> None:
    rows = [["", *MODES]]
    modes = [result[mode] for mode in MODES]
    asked = result["questions"]
    rows.append(["right", *(f"{mode['right']} of {asked}" for mode in modes)])
    for kind, counts in result["kinds"].items():
        rows.append([f"  {kind}", *(f"{counts[mode]} of {counts['questions']}" for mode in MODES)])
    rows.append(["accuracy", *(_share(mode) for mode in modes)])
    for name, digits in (("tokens", 0), ("seconds", 2)):
        rows.append([f"{name} a question", *(_mean(mode[name], digits) for mode in modes)])
    if any(mode["failed"] for mode in modes):
        rows.append(["failed", *(str(mode["failed"]) for mode in modes)])
    wide = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = [
        f"{row[0]:<{wide[0]}}  {row[1]:>{wide[1]}}  {row[2]:>{wide[2]}}".rstrip() for row in rows
    ]
    difference = result["difference"]
    lines += [
        "",
        f"The team alone was right {difference['gained']} times, one agent alone "
        f"{difference['lost']} times (McNemar's p = {difference['p']:.3g}).",
        result["verdict"],
    ]
    if not result["complete"]:
        lines.append("It was cancelled: the questions that were left are not counted.")
    sys.stdout.write(printable("\n".join(lines)) + "\n")


def _share(mode: Mapping[str, Any]) -> str:
    if mode["accuracy"] is None:
        return "-"
    low, high = mode["accuracy_interval"]
    return f"{100 * mode['accuracy']:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def _mean(found: Mapping[str, Any] | None, digits: int) -> str:
    if found is None:
        return "-"
    around = found["interval"]
    shown = f"{found['mean']:.{digits}f}"
    return (
        shown if around is None else f"{shown} ({around[0]:.{digits}f} to {around[1]:.{digits}f})"
    )
