"""Questions with answers that can be checked: those of the package, or of a user's file.

One JSON object a line::

    {"id": "two-parts-1", "kind": "two-parts",
     "prompt": "Add 3 and 4, then name the capital of Japan.", "expect": ["7", "Tokyo"]}
    {"id": "told-1", "kind": "told", "expect": ["Ada"],
     "sessions": [["My name is Ada."], ["What is my name?"]]}

An answer is right where it holds everything in ``expect``, as whole words, whatever their case; of
a list in it any one. ``sessions`` are asked one after the other, each turn by turn; the last answer
counts.
"""

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from novasystem.errors import InvalidRequest

__all__ = ["Question", "built_in", "from_file"]

_SEPARATED = re.compile(r"(?<=\d)[,\u202f\u00a0](?=\d{3}(?!\d))")
_MOST = 10_000

Text = Annotated[str, Field(min_length=1, max_length=32_000)]
Alternatives = Annotated[list[Text], Field(min_length=1)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Text
    kind: Text = "questions"
    prompt: Text | None = None
    sessions: list[Annotated[list[Text], Field(min_length=1)]] | None = None
    expect: list[Text | Alternatives] = Field(min_length=1)

    @model_validator(mode="after")
    def _asks_something(self) -> "_Line":
        if (self.prompt is None) == (not self.sessions):
            msg = "give either a prompt or sessions"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True)
class Question:
    """``sessions``: what is asked, turn by turn. ``expect``: of each its alternatives."""

    id: str
    kind: str
    sessions: tuple[tuple[str, ...], ...]
    expect: tuple[tuple[str, ...], ...]

    def is_right(self, answer: str) -> bool:
        """Whether ``answer`` holds all that is expected."""
        said = _plain(answer)
        return all(any(_holds(said, one) for one in each) for each in self.expect)


def _plain(text: str) -> str:
    """Thousands are not separated, blanks are single, letters small."""
    return " ".join(_SEPARATED.sub("", text).casefold().split())


def _holds(said: str, expected: str) -> bool:
    # A number is whole: neither 7 nor 2.7 is in 27, and 7 is not in 7.5 or -7.
    word = re.escape(_plain(expected))
    number = expected[:1].isdigit()
    before = r"(?<![\w.,-])|(?<=[a-z][.,-])" if number else r"(?<!\w)"
    return re.search(rf"(?:{before}){word}(?!\w|[.,]\d)", said) is not None


def built_in() -> list[Question]:
    """The questions of the package."""
    text = resources.files(__package__).joinpath("questions.jsonl").read_text()
    return _read(text, "the questions of the package")


def from_file(path: Path) -> list[Question]:
    """Raises ``InvalidRequest`` that names the line where the file is not as it should be."""
    try:
        return _read(path.read_text(), f"'{path}'")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InvalidRequest(f"The questions '{path}' cannot be read: {said}.") from error


def _read(text: str, where: str) -> list[Question]:
    found: dict[str, Question] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            read = _Line.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"][:2])
            said = f"{at}: {first['msg']}" if at else first["msg"]
            raise InvalidRequest(
                f"Line {number} of {where} is no question: {said}.",
                hint='Such as {"id": "sum", "prompt": "What is 2+3?", "expect": ["5"]}.',
            ) from error
        if read.id in found:
            raise InvalidRequest(f"Line {number} of {where}: there is another '{read.id}'.")
        asked = read.sessions if read.sessions else [[read.prompt or ""]]
        found[read.id] = Question(
            read.id,
            read.kind,
            tuple(tuple(session) for session in asked),
            tuple((each,) if isinstance(each, str) else tuple(each) for each in read.expect),
        )
    if not found or len(found) > _MOST:
        raise InvalidRequest(f"There are {len(found)} questions in {where}; 1 to {_MOST} can be.")
    return list(found.values())
