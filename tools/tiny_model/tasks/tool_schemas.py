"""Concrete tools for one sample: a kind with its names chosen, or a tool invented on the spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tools.tiny_model import words
from tools.tiny_model.chat import Tool
from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks.phrasing import vary
from tools.tiny_model.tasks.tool_kinds import KINDS, Maker, Parameter, ToolKind, Value, sound_alike


@dataclass(frozen=True)
class BoundTool:
    """A tool as one conversation sees it."""

    name: str
    parameters: tuple[str, ...]
    kind: ToolKind
    schema: Tool

    def request(self, draw: Draw) -> tuple[str, dict[str, Value], str]:
        """A wording, the arguments it calls for, and the answer to give (with {r} open)."""
        values = [parameter.make(draw) for parameter in self.kind.parameters]
        ask = draw.pick(self.kind.asks)
        asked = {i for i in range(len(values)) if f"{{{i}}}" in ask}
        arguments = {name: values[i] for i, name in enumerate(self.parameters) if i in asked}
        answer = self.kind.answer.format(*values, r="{r}")
        question = ask.format(*values)
        if not ask.startswith("{"):
            question = vary(draw, question)
        return question, arguments, answer[0].upper() + answer[1:]


def bind(draw: Draw, kind: ToolKind) -> BoundTool:
    """Chooses the names of a kind and writes its JSON schema in one of the usual styles."""
    name = draw.pick(kind.names)
    chosen: list[str] = []
    for parameter in kind.parameters:
        free = [n for n in parameter.names if n not in chosen]
        chosen.append(draw.pick(free))
    properties: dict[str, Any] = {}
    described = draw.chance(0.2)
    for parameter, parameter_name in zip(kind.parameters, chosen, strict=True):
        entry: dict[str, Any] = {"type": parameter.type}
        if described:
            entry["description"] = f"The {parameter_name.replace('_', ' ')}"
        properties[parameter_name] = entry
    schema: dict[str, Any] = {"type": "object"}
    style = draw.random()
    if style < 0.25:
        schema["required"] = list(chosen)
    schema["properties"] = properties
    if 0.25 <= style < 0.85:
        schema["required"] = list(chosen)
    if draw.chance(0.1):
        schema["additionalProperties"] = False
    function: dict[str, Any] = {"name": name}
    if draw.chance(0.85):
        function["description"] = draw.pick(kind.descriptions) + ("." if draw.chance(0.3) else "")
    function["parameters"] = schema
    if draw.chance(0.05):
        function["strict"] = True
    return BoundTool(name, tuple(chosen), kind, {"type": "function", "function": function})


def invent(draw: Draw) -> ToolKind:
    """A kind that no other sample has: a verb, a noun and parameters of random names."""
    verb = draw.pick(words.VERBS)
    noun = draw.noun() if draw.chance(0.6) else draw.made_up(1, 2)
    makers: tuple[tuple[str, Maker], ...] = (
        ("string", Draw.thing), ("string", Draw.name), ("string", Draw.city),
        ("string", Draw.made_up), ("integer", lambda d: d.number(0, 9999)),
        ("string", Draw.phrase),
    )  # fmt: skip
    parameters = []
    for _ in range(draw.pick((1, 1, 1, 2, 2, 3))):
        json_type, make = draw.pick(makers)
        label = draw.noun() if draw.chance(0.6) else draw.made_up(1, 2)
        parameters.append(
            Parameter((label, f"{label}_{draw.pick(('id', 'name', 'a'))}"), make, json_type)
        )
    name = draw.pick(
        (f"{verb}_{noun}", f"{verb}_{noun}", f"{noun}_{verb}", f"{verb}{noun.title()}")
    )
    labels = [p.names[0] for p in parameters]
    pairs = " and ".join(f"{label} {{{i}}}" for i, label in enumerate(labels))
    equals = ", ".join(f"{label} = {{{i}}}" for i, label in enumerate(labels))
    values = " and ".join(f"{{{i}}}" for i in range(len(labels)))
    capital = verb.capitalize()
    asks = (
        f"{capital} the {noun} with {pairs}.", f"{capital} the {noun}: {equals}",
        f"Please {verb} the {noun} with {pairs}.", f"{capital} a {noun} for {values}.",
        f"Use {name} with {equals}.", f"Call {name} with {pairs}.", f"{capital} {noun} {values}",
        f"I want to {verb} the {noun} with {pairs}.", f"Can you {verb} the {noun} for {values}?",
    )  # fmt: skip
    return ToolKind(
        (name,), (f"{capital} the {noun}", f"{capital} a {noun}"), tuple(parameters), asks
    )


def choose(
    draw: Draw, count: int, *, beside: BoundTool | None = None, invented: float = 0.2
) -> list[BoundTool]:
    """`count` tools that a request can tell apart; the share `invented` has never been before."""
    chosen: list[BoundTool] = [beside] if beside else []
    while len(chosen) < count + bool(beside):
        kind = invent(draw) if draw.chance(invented) else draw.pick(KINDS)
        tool = bind(draw, kind)
        if not any(tool.name == other.name or sound_alike(kind, other.kind) for other in chosen):
            chosen.append(tool)
    return chosen
