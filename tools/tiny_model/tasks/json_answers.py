"""Answers that are one flat JSON object or list."""

from __future__ import annotations

import json
from typing import Any

from tools.tiny_model.chat import Message, assistant, system, user
from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks.phrasing import vary
from tools.tiny_model.words import CAPITALS, listed

Turn = tuple[str, str]

AS_JSON = (
    "Answer as JSON: {q}", "{q} Answer as JSON.", "{q} Reply in JSON.", "Reply as JSON: {q}",
    "Respond with JSON: {q}", "JSON only: {q}", "{q} Use JSON.", "Give the answer as JSON: {q}",
    "In JSON: {q}", "{q} Return a JSON object.", "Return JSON. {q}", "{q} JSON, please.",
)  # fmt: skip
SYSTEMS = (
    "Answer as JSON.",
    "Always answer in JSON.",
    "Reply with JSON only.",
    "You answer in JSON.",
)
KEYS = listed(
    "name city age color id title price count kind size owner country email status key value code"
    " year topic level place item author language score"
)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _value(draw: Draw, key: str) -> str | int:
    if key in {"name", "owner", "author"}:
        return draw.name()
    if key in {"city", "place"}:
        return draw.city()
    if key in {"age", "id", "price", "count", "year", "code", "score"}:
        return draw.number(1, 99_999)
    return draw.thing()


def _bare(draw: Draw) -> tuple[str, Any]:
    """A question and the object that answers it."""
    kind = draw.random()
    if kind < 0.3:
        country = draw.country()
        return f"What is the capital of {country}?", {
            "country": country,
            "capital": CAPITALS[country],
        }
    if kind < 0.6:
        a, b = draw.pair(1 if draw.chance(0.8) else 0)
        question = draw.pick(
            ("What is {a}+{b}?", "Add {a} and {b}.", "What is {a} + {b}?", "{a}+{b}")
        )
        return question.format(a=a, b=b), {"a": a, "b": b, "sum": a + b}
    if kind < 0.8:
        name, city = draw.name(), draw.city()
        text = draw.pick(
            ("{n} lives in {c}.", "{n} is from {c}.", "My name is {n} and I live in {c}.")
        )
        return text.format(n=name, c=city), {"name": name, "city": city}
    name, age = draw.name(), draw.randint(1, 99)
    text = draw.pick(
        ("{n} is {a} years old.", "My name is {n} and I am {a} years old.", "{n} is {a}.")
    )
    return text.format(n=name, a=age), {"name": name, "age": age}


def _dictated(draw: Draw) -> Turn:
    """Keys and values stand in the request, in one of several forms."""
    keys = draw.sample(KEYS, draw.randint(1, 4))
    if draw.chance(0.3):
        keys[-1] = draw.made_up(1, 2)
    content = {key: _value(draw, key) for key in keys}
    style = draw.pick(("{k} {v}", "{k}: {v}", "{k} = {v}", "{k} is {v}"))
    listed = [style.format(k=k, v=v) for k, v in content.items()]
    joined = draw.pick((", ", " and ", "; ")).join(listed)
    request = draw.pick(
        ("Make a JSON object with {x}.", "JSON with {x}", "Give me a JSON object with {x}.",
         "Write this as JSON: {x}", "Convert to JSON: {x}", "Turn this into JSON: {x}",
         "Return a JSON object: {x}", "As JSON: {x}")
    )  # fmt: skip
    return request.format(x=joined), _dump(content)


def _list(draw: Draw) -> Turn:
    things = [draw.thing() for _ in range(draw.randint(2, 5))]
    request = draw.pick(
        ("Make a JSON list of {x}.", "Write {x} as a JSON list.", "JSON array of {x}",
         "As a JSON list: {x}")
    )  # fmt: skip
    return request.format(x=", ".join(things)), _dump(things)


def turn(draw: Draw) -> Turn:
    kind = draw.random()
    if kind < 0.45:
        question, answer = _bare(draw)
        return draw.pick(AS_JSON).format(q=question), _dump(answer)
    return _list(draw) if kind < 0.55 else _dictated(draw)


def by_system(draw: Draw) -> list[Message]:
    """JSON demanded by the system prompt."""
    messages = [system(draw.pick(SYSTEMS))]
    for _ in range(draw.randint(1, 2)):
        question, answer = _bare(draw)
        messages += [user(vary(draw, question)), assistant(_dump(answer))]
    return messages
