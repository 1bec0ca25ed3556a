"""Whether a question needs a team: a rule that can be read, and no model is asked for it. Pure."""

import re
from typing import Literal

__all__ = ["Asked", "Mode", "parts", "settled"]

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
