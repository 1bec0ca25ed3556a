"""Conversations in which tools are called, their results told, or rightly left alone."""

from __future__ import annotations

import json

from tools.tiny_model.chat import Message, Sample, assistant, calls, tool_result, user
from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks import facts, greetings, sentences, sums
from tools.tiny_model.tasks.memory import say
from tools.tiny_model.tasks.phrasing import system_prompt
from tools.tiny_model.tasks.tool_schemas import BoundTool, choose

CONFUSABLE = ("calcul", "eval", "comput", "add", "sum", "plus", "calc", "defin", "dictionary",
    "meaning",
              "search", "find", "lookup", "get_definition", "call", "product")  # fmt: skip
"""Tools whose names stand near what the fillers ask for; those samples leave the fillers out."""


def single(draw: Draw, tool: BoundTool) -> list[Message]:
    """A request, the call, and mostly the result with the answer made from it."""
    question, arguments, answer = tool.request(draw)
    messages = [user(question), calls((tool.name, arguments))]
    if draw.chance(0.85):
        result = str(tool.kind.result(draw))
        shown = result
        if draw.chance(0.4):
            key = draw.pick(("result", "value", "output", "answer", "data", "status"))
            shown = json.dumps({key: result})
        messages += [tool_result(shown), assistant(answer.replace("{r}", result))]
    return messages


def parallel(draw: Draw, tools: list[BoundTool]) -> list[Message]:
    """Two requests in one message, two calls in one answer."""
    first, second = draw.pick(tools), draw.pick(tools)
    question_1, arguments_1, answer_1 = first.request(draw)
    question_2, arguments_2, answer_2 = second.request(draw)
    glue = draw.pick((" ", " And: ", " Also: ", " Then: ", "\n"))
    messages = [
        user(question_1 + ("" if question_1[-1] in ".?!" else ".") + glue + question_2),
        calls((first.name, arguments_1), (second.name, arguments_2)),
    ]
    if draw.chance(0.75):
        results = [str(t.kind.result(draw)) for t in (first, second)]
        answers = [a.replace("{r}", r) for a, r in zip((answer_1, answer_2), results, strict=True)]
        messages += [*map(tool_result, results), assistant(" ".join(answers))]
    return messages


def _plain(draw: Draw) -> list[Message]:
    """A question that no tool is needed for."""
    maker = draw.pick(
        (greetings.hello, greetings.about_me, facts.capital, sentences.turn, sums.addition)
    )
    return say(maker(draw))


def conversation(draw: Draw) -> Sample:
    """One to eight requests over the same list of tools.

    Most of a sample is the list, which nothing is learnt from: several requests to one list give
    three times as many calls for the same tokens.
    """
    # Invented tools are where the list has to be read: the known ones are soon learnt by heart.
    tools = choose(draw, draw.pick((1, 1, 1, 2, 2, 3, 4)), invented=0.45)
    messages = system_prompt(draw, 0.4)
    clear = not any(word in tool.name.lower() for tool in tools for word in CONFUSABLE)
    for _ in range(draw.pick((1, 2, 3, 4, 6, 8))):
        kind = draw.random()
        if kind < 0.13 and clear:
            messages += _plain(draw)
        elif kind < 0.25:
            messages += parallel(draw, tools)
        else:
            messages += single(draw, draw.pick(tools))
        if messages[-1].get("tool_calls"):
            break  # a call without its result can only be the end
    return Sample(messages, [tool.schema for tool in tools], compact=draw.chance(0.25))
