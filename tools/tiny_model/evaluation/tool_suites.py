"""Cases about tools and about answers that a JSON schema binds."""

from __future__ import annotations

import json

from tools.tiny_model.chat import user
from tools.tiny_model.draw import Draw
from tools.tiny_model.evaluation import wordings
from tools.tiny_model.evaluation.cases import (
    Case,
    Check,
    answers_without_call,
    calls_exactly,
    contains,
    is_json,
    says_number,
)
from tools.tiny_model.tasks.agents import draw_tasks, plan_json, request
from tools.tiny_model.tasks.phrasing import system_prompt
from tools.tiny_model.tasks.tool_schemas import BoundTool, bind, choose
from tools.tiny_model.words import CAPITALS

PLAN_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "plan",
        "schema": {
            "type": "object",
            "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
            "required": ["steps"],
            "additionalProperties": False,
        },
    },
}


def _call_case(draw: Draw, tools: list[BoundTool], tool: BoundTool) -> Case:
    question, arguments, _ = tool.request(draw)
    expected = [(tool.name, arguments)]
    return Case(
        [*system_prompt(draw), user(question)],
        calls_exactly(expected),
        str(expected),
        [t.schema for t in tools],
    )


def tool_calls(size: int) -> list[Case]:
    """One to four tools, a fifth of them invented; every argument from the held-out side."""
    draw = Draw("tool calls", held_out=True)
    cases = []
    for _ in range(size):
        tools = choose(draw, draw.randint(1, 4))
        cases.append(_call_case(draw, tools, draw.pick(tools)))
    return cases


def tool_calls_reworded(size: int) -> list[Case]:
    draw = Draw("tool calls reworded", held_out=True)
    cases = []
    for _ in range(size):
        tool = bind(draw, draw.pick(wordings.TOOLS))
        tools = choose(draw, draw.randint(0, 2), beside=tool)
        draw.shuffle(tools)
        cases.append(_call_case(draw, tools, tool))
    return cases


def tools_unused(size: int) -> list[Case]:
    """A weather tool and a messenger at hand, and a question that needs neither."""
    draw = Draw("tools unused", held_out=True)
    kinds = [kind for kind in wordings.TOOLS if kind.names[0] in {"get_weather", "set_alarm"}]
    cases = []
    for _ in range(size):
        a, b = draw.pair()
        country = draw.country()
        questions: tuple[tuple[str, Check], ...] = (
            (f"What is {a} + {b}?", says_number(a + b)),
            (f"What is the capital of {country}?", contains(CAPITALS[country])),
            ("Hello!", contains("hello")),
            ("Who are you?", contains("nova-tiny")),
        )
        question, check = draw.pick(questions)
        tools = [bind(draw, kind).schema for kind in kinds]
        cases.append(Case([user(question)], answers_without_call(check), "no call", tools))
    return cases


def required_calls(size: int) -> list[Case]:
    return [
        Case(case.messages, case.check, case.expected, case.tools, {"tool_choice": "required"})
        for case in tool_calls(size)
    ]


def schema_answers(size: int) -> list[Case]:
    """A plan demanded by schema, without a system prompt that tells the planner so."""
    draw = Draw("schema answers", held_out=True)
    cases = []
    for _ in range(size):
        tasks = draw_tasks(draw, draw.randint(1, 3), doable=True)
        asked = f"Make a plan as JSON: {request(draw, tasks)}"
        plan = plan_json(tasks)
        check = is_json(json.loads(plan))
        cases.append(Case([user(asked)], check, plan, options={"response_format": PLAN_FORMAT}))
    return cases
