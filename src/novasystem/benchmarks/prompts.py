"""Files of prompts and of traces, read into a plan.

Prompts, by the end of the file's name: ``.jsonl`` (or ``.ndjson``), each line a text or an object
with ``prompt``; ``.csv`` with a column ``prompt``; anything else is text, one prompt a line. Empty
lines are passed over.

Traces: ``.jsonl`` or ``.csv``, one request each, with the names of our own plan (``at_s``,
``prompt`` or ``prompt_tokens``, ``output_tokens``) or those of the traces that are published:
``timestamp`` in ms with ``input_length`` and ``output_length``, and ``TIMESTAMP`` as a date with
``ContextTokens`` and ``GeneratedTokens``. Times count from the first request, whatever their
origin, and need not be in order.
"""

import csv
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from novasystem.benchmarks.plan import Prompts, Trace, TracedRequest
from novasystem.errors import InvalidRequest

__all__ = ["read_prompts", "read_trace"]

_PROMPT = ("prompt", "text", "question")
_PROMPT_TOKENS = ("prompt_tokens", "input_length", "ContextTokens")
_OUTPUT_TOKENS = ("output_tokens", "output_length", "GeneratedTokens")
_SEVENTH_DIGIT = re.compile(r"(\.\d{6})\d+")
_JSON_LINES = {".jsonl", ".ndjson"}

Line = tuple[int, Any]


def read_prompts(path: Path, system: str | None = None) -> Prompts:
    """The prompts of a file, in its order; ``InvalidRequest`` names the file and the line."""
    if path.suffix.lower() in _JSON_LINES:
        found = [_prompt(path, number, value) for number, value in _json_lines(path)]
    elif path.suffix.lower() == ".csv":
        found = [_prompt(path, number, row) for number, row in _rows(path)]
    else:
        found = [text.strip() for _, text in _lines(path)]
    if not found:
        raise _wrong(path, None, "holds no prompt", "Write one prompt a line.")
    return Prompts(prompts=tuple(found), system=system)


def read_trace(path: Path, speed: float = 1.0) -> Trace:
    """The requests of a trace; ``InvalidRequest`` names the file and the line."""
    read = _rows if path.suffix.lower() == ".csv" else _json_lines
    found = [_traced(path, number, value) for number, value in read(path)]
    if not found:
        raise _wrong(path, None, "holds no request", "Write one request a line.")
    first_s = min(at_s for at_s, _ in found)
    requests = [
        TracedRequest(at_s=at_s - first_s, **more) for at_s, more in sorted(found, key=_at_s)
    ]
    return Trace(requests=tuple(requests), speed=speed)


def _at_s(found: tuple[float, dict[str, Any]]) -> float:
    return found[0]


def _prompt(path: Path, number: int, value: object) -> str:
    if isinstance(value, Mapping):
        names = [name for name in _PROMPT if name in value]
        if not names:
            hint = f"Give each prompt under the name 'prompt', not {', '.join(map(str, value))}."
            raise _wrong(path, number, "has no prompt", hint)
        value = value[names[0]]
    if not isinstance(value, str) or not value.strip():
        raise _wrong(path, number, "has a prompt that is no text", "Write it as a text.")
    return value


def _traced(path: Path, number: int, value: object) -> tuple[float, dict[str, Any]]:
    if not isinstance(value, Mapping):
        raise _wrong(path, number, "is not an object", 'Write {"at_s": 0.0, "prompt_tokens": 8}.')
    more: dict[str, Any] = {}
    for name, known, convert in (
        ("prompt", ("prompt",), str),
        ("prompt_tokens", _PROMPT_TOKENS, _count),
        ("output_tokens", _OUTPUT_TOKENS, _count),
    ):
        given = next((value[key] for key in known if value.get(key) not in {None, ""}), None)
        if given is not None:
            more[name] = _converted(path, number, name, given, convert)
    try:
        at_s = _time_s(path, number, value)
        TracedRequest(at_s=0.0, **more)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc']))} {one['msg']}".strip() for one in error.errors()
        )
        hint = "Give a time, and either prompt or prompt_tokens."
        raise _wrong(path, number, f"is no request: {said}", hint) from error
    return at_s, more


def _time_s(path: Path, number: int, value: Mapping[str, Any]) -> float:
    """``at_s`` in seconds, ``timestamp`` in ms, ``TIMESTAMP`` as a date."""
    for name, convert in (("at_s", _seconds), ("timestamp", _milliseconds), ("TIMESTAMP", _date)):
        if value.get(name) not in {None, ""}:
            return float(_converted(path, number, name, value[name], convert))
    raise _wrong(path, number, "has no time", "Give at_s, in seconds from the beginning.")


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError(value)
    return seconds


def _milliseconds(value: Any) -> float:
    return _seconds(value) / 1000


def _date(value: Any) -> float:
    # Published traces have seven digits behind the second, of which six can be read.
    text = str(value).strip()
    when = datetime.fromisoformat(_SEVENTH_DIGIT.sub(r"\1", text))
    # Only differences count: without a zone, any will do that has no summer time.
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _count(value: Any) -> int:
    number = float(value)
    if number != int(number) or number < 1:
        raise ValueError(value)
    return int(number)


def _converted(
    path: Path, number: int, name: str, given: Any, convert: Callable[[Any], Any]
) -> Any:
    try:
        return convert(given)
    except (OverflowError, TypeError, ValueError) as error:
        raise _wrong(
            path,
            number,
            f"has {name} {given!r}, which cannot be read",
            f"Write {name} as a number.",
        ) from error


def _json_lines(path: Path) -> Iterator[Line]:
    for number, text in _lines(path):
        try:
            yield number, orjson.loads(text)
        except orjson.JSONDecodeError as error:
            hint = "Write one JSON object a line; for plain text, name the file .txt."
            raise _wrong(path, number, f"is not JSON: {error}", hint) from error


def _rows(path: Path) -> Iterator[Line]:
    """The rows below the head of a CSV file, each with the line that it ends on."""
    lines = [text for _, text in _lines(path, empty=True)]
    reader = csv.DictReader(f"{line}\n" for line in lines)
    try:
        for row in reader:
            if None in row:
                hint = "Put a text with commas between quotation marks."
                raise _wrong(path, reader.line_num, "has more cells than the head", hint)
            yield reader.line_num, row
    except csv.Error as error:
        hint = "Check its quotation marks."
        raise _wrong(path, reader.line_num, f"is not CSV: {error}", hint) from error


def _lines(path: Path, *, empty: bool = False) -> Iterator[tuple[int, str]]:
    """Lines end at CR and LF alone: U+2028 may stand inside a prompt."""
    try:
        # Spreadsheets put a mark before the first character.
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _wrong(path, None, f"cannot be read: {error.strerror}", "Check its path.") from error
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        raise _wrong(path, number, "is not UTF-8", "Save the file as UTF-8.") from error
    for number, line in zip(itertools.count(1), text.replace("\r\n", "\n").split("\n")):
        if empty or line.strip():
            yield number, line


def _wrong(path: Path, line: int | None, what: str, hint: str) -> InvalidRequest:
    where = f"The file '{path}'" if line is None else f"Line {line} of '{path}'"
    return InvalidRequest(f"{where} {what}.", hint=hint)
