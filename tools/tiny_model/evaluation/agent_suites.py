"""Cases for the team: planner, executor, critic, closer; all values held out."""

from __future__ import annotations

import json
from collections.abc import Callable

from tools.tiny_model.chat import Message
from tools.tiny_model.draw import Draw
from tools.tiny_model.evaluation.cases import Case, Check, equals, is_json
from tools.tiny_model.evaluation.client import Reply
from tools.tiny_model.tasks import agents


def _from_training_form(
    seed: str, size: int, make: Callable[[Draw], list[Message]], check: Callable[[str], Check]
) -> list[Case]:
    """Cuts the expected last answer off a sample drawn from the held-out side."""
    draw = Draw(seed, held_out=True)
    cases = []
    for _ in range(size):
        *messages, last = make(draw)
        cases.append(Case(messages, check(last["content"]), last["content"]))
    return cases


def _json_or_text(expected: str) -> Check:
    return is_json(json.loads(expected)) if expected.startswith("{") else equals(expected)


def _same_verdict(expected: str) -> Check:
    """Only ok or not ok counts, not the reason."""

    def verdict(text: str) -> bool | None:
        if not text.startswith("{"):
            return {"ok": True, "not": False}.get(text[:3].strip())
        try:
            parsed = json.loads(text)
        except ValueError:
            return None
        return parsed.get("ok") if isinstance(parsed, dict) else None

    return lambda reply: verdict(reply.text) is verdict(expected)


def _executable(draw: Draw) -> list[Message]:
    """An executor's sample whose result is certain: a sentence about rain may be any."""
    while True:
        messages = agents.executor(draw)
        if "sentence" not in messages[1]["content"]:
            return messages


def _contained(expected: str) -> Check:
    def check(reply: Reply) -> bool:
        return expected.rstrip(".").casefold() in reply.text.casefold()

    return check


def plans(size: int) -> list[Case]:
    return _from_training_form("plans", size, agents.planner, _json_or_text)


def executors(size: int) -> list[Case]:
    return _from_training_form("executors", size, _executable, _contained)


def critics(size: int) -> list[Case]:
    return _from_training_form("critics", size, agents.critic, _same_verdict)


def closing(size: int) -> list[Case]:
    return _from_training_form("closing", size, agents.closer, equals)
