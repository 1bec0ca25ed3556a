"""The cases: messages to send, and a check of the reply."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tools.tiny_model.chat import Message, Tool
from tools.tiny_model.evaluation.client import Reply

Check = Callable[[Reply], bool]


@dataclass(frozen=True)
class Case:
    """`expected` is for the reader of a failure; `options` go into the request."""

    messages: list[Message]
    check: Check
    expected: str
    tools: list[Tool] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


def says_number(number: int) -> Check:
    """The last number of the reply is `number`: "27 + 5 = 32." says 32."""

    def check(reply: Reply) -> bool:
        found = re.findall(r"\d+", reply.text)
        return bool(found) and int(found[-1]) == number

    return check


def contains(*parts: str) -> Check:
    return lambda reply: all(part.casefold() in reply.text.casefold() for part in parts)


def sentence_count(text: str) -> int:
    """Sentences that end with a mark; a rest without one counts as another."""
    return len([part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part])


def is_one_sentence(reply: Reply) -> bool:
    """One sentence, properly ended, by a reply that stopped by itself."""
    ended = reply.text.strip()[-1:] in {".", "!", "?"}
    return ended and reply.finish == "stop" and sentence_count(reply.text) == 1


def calls_exactly(expected: list[tuple[str, Any]]) -> Check:
    """These calls with these arguments, in this order, and no others."""
    return lambda reply: reply.calls == expected


def answers_without_call(check: Check) -> Check:
    return lambda reply: not reply.calls and check(reply)


def is_json(expected: Any) -> Check:
    """The reply is this JSON value, whatever its spaces."""

    def check(reply: Reply) -> bool:
        try:
            return bool(json.loads(reply.text) == expected)
        except ValueError:
            return False

    return check


def equals(text: str) -> Check:
    return lambda reply: reply.text.strip() == text.strip()
