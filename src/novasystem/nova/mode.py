"""What can be seen of a message without asking a model: whether it needs a team, whether it tells
anything. Rules that can be read. Pure."""

import re
from typing import Literal

__all__ = ["Asked", "Mode", "parts", "settled", "tells"]

Mode = Literal["team", "single"]
Asked = Literal["team", "single", "auto"]

_MANY_WORDS = 60
_ORDERS = (
    "add", "ask", "calculate", "check", "choose", "compare", "compute", "convert", "count",
    "describe", "divide", "explain", "find", "give", "greet", "list", "look", "make", "multiply",
    "name", "repeat", "say", "search", "show", "sort", "subtract", "sum", "summarise", "summarize",
    "tell", "translate", "work", "write",
)  # fmt: skip
_QUESTIONS = ("what", "who", "whom", "whose", "which", "where", "when", "why", "how")
_NEXT = "|".join((*_ORDERS, *_QUESTIONS))
_BREAK = re.compile(
    r"\s*[;\n]+\s*"
    r"|[,.]?\s+(?:and )?(?:then|afterwards|finally|also|after that)\b[,:]?\s*"
    rf"|(?:,|,? and|[.!?])\s+(?=(?:please )?(?:{_NEXT})\b)"
    r"|(?<=[?!])\s+",
    re.IGNORECASE,
)


_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_ASKS = re.compile(
    rf"\s*(?:(?:and|then|please|now),?\s+)*(?:{_NEXT}|can|could|do|does|is|are)\b", re.I
)


def tells(message: str) -> bool:
    """Whether a sentence of it says something, instead of asking or ordering."""
    return any(
        not sentence.endswith("?") and not _ASKS.match(sentence)
        for sentence in map(str.strip, _SENTENCE.findall(message))
        if any(map(str.isalpha, sentence))
    )


def parts(question: str) -> list[str]:
    """The things that are asked for: broken at "then", "also", semicolons, lines, and before a
    verb or a question word that begins another one."""
    return [part for part in map(str.strip, _BREAK.split(question)) if any(map(str.isalnum, part))]


def settled(asked: Asked, question: str) -> Mode:
    """``auto`` is a team where more than one thing is asked for, or many words are used."""
    if asked != "auto":
        return asked
    if len(question.split()) > _MANY_WORDS:
        return "team"
    return "team" if len(parts(question)) > 1 else "single"
