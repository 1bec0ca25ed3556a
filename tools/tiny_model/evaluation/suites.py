"""The suites with their sizes and bars. Same seeds, same cases, every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.tiny_model.chat import assistant, user
from tools.tiny_model.draw import Draw
from tools.tiny_model.evaluation import wordings
from tools.tiny_model.evaluation.agent_suites import closing, critics, executors, plans
from tools.tiny_model.evaluation.cases import Case, contains, is_one_sentence, says_number
from tools.tiny_model.evaluation.first_contact import first_contact
from tools.tiny_model.evaluation.tool_suites import (
    required_calls,
    schema_answers,
    tool_calls,
    tool_calls_reworded,
    tools_unused,
)
from tools.tiny_model.holdout import is_pair_held_out
from tools.tiny_model.tasks import facts, memory, sentences, sums
from tools.tiny_model.tasks.phrasing import system_prompt
from tools.tiny_model.tasks.stories import sentence_about
from tools.tiny_model.words import CAPITALS


@dataclass(frozen=True)
class Suite:
    """`bar` is the share of right replies that the product demands; None: only reported."""

    name: str
    title: str
    make: Callable[[int], list[Case]]
    size: int
    bar: float | None = None


def _addition(draw: Draw, asks: tuple[str, ...], a: int, b: int) -> Case:
    question = draw.pick(asks).format(a=a, b=b)
    return Case([user(question)], says_number(a + b), str(a + b))


def _spread(pairs: list[tuple[int, int]], size: int, seed: str) -> list[tuple[int, int]]:
    return Draw(seed).sample(pairs, min(size, len(pairs)))


_ALL_PAIRS = [(a, b) for a in range(100) for b in range(100)]
_UNSEEN_PAIRS = [pair for pair in _ALL_PAIRS if is_pair_held_out(*pair)]


def additions_unseen(size: int) -> list[Case]:
    draw = Draw("additions unseen")
    pairs = _spread(_UNSEEN_PAIRS, size, "pairs")
    return [_addition(draw, sums.ADDITIONS, a, b) for a, b in pairs]


def additions_all(size: int) -> list[Case]:
    """Every second case has one-digit numbers only where there are enough; the rest is any pair."""
    draw = Draw("additions all")
    small = _spread([(a, b) for a, b in _ALL_PAIRS if a < 10 and b < 10], size // 5, "small")
    pairs = small + _spread(_ALL_PAIRS, size - len(small), "any")
    return [_addition(draw, sums.ADDITIONS, a, b) for a, b in pairs]


def additions_reworded(size: int) -> list[Case]:
    draw = Draw("additions reworded")
    pairs = _spread(_UNSEEN_PAIRS, size, "reworded pairs")
    return [_addition(draw, wordings.ADDITIONS, a, b) for a, b in pairs]


def capitals(size: int) -> list[Case]:
    draw = Draw("capitals")
    return [
        Case([user(draw.pick(facts.CAPITAL_OF).format(c=country))], contains(city), city)
        for country, city in list(CAPITALS.items())[:size]
    ]


def capitals_reworded(size: int) -> list[Case]:
    draw = Draw("capitals reworded")
    return [
        Case([user(draw.pick(wordings.CAPITALS).format(c=country))], contains(city), city)
        for country, city in list(CAPITALS.items())[:size]
    ]


def names(size: int) -> list[Case]:
    """Name told in the first turn, something else in the second, asked for in the third."""
    draw = Draw("names", held_out=True)
    return [_name_case(draw, memory.NAME.tell, memory.NAME.ask) for _ in range(size)]


def names_reworded(size: int) -> list[Case]:
    draw = Draw("names reworded", held_out=True)
    return [_name_case(draw, wordings.TELL_NAME, wordings.ASK_NAME) for _ in range(size)]


def _name_case(draw: Draw, tell: tuple[str, ...], ask: tuple[str, ...]) -> Case:
    name = draw.name()
    reply = draw.pick(memory.NAME.reply).format(v=name)
    messages = [user(draw.pick(tell).format(v=name)), assistant(reply)]
    messages += memory.say(memory.filler(draw))
    return Case([*messages, user(draw.pick(ask))], contains(name), name)


def one_sentence(size: int) -> list[Case]:
    """Facts, sums, greetings, unknown things and "about …", framed as in training."""
    draw = Draw("one sentence", held_out=True)
    return [
        Case([*system_prompt(draw), user(sentences.turn(draw)[0])], is_one_sentence, "one sentence")
        for _ in range(size)
    ]


def one_sentence_reworded(size: int) -> list[Case]:
    draw = Draw("one sentence reworded", held_out=True)
    cases = []
    for _ in range(size):
        if draw.chance(0.3):
            asked = draw.pick(wordings.ONE_SENTENCE_ABOUT).format(x=draw.thing())
        else:
            asked = draw.pick(wordings.ONE_SENTENCE).format(q=sentences.any_question(draw)[0])
        cases.append(Case([user(asked)], is_one_sentence, sentence_about(draw, "it")))
    return cases


SUITES = (
    Suite("additions_held_out", "Additions of one- and two-digit numbers, held-out pairs",
          additions_unseen, 1000, 0.95),
    Suite("additions_overall", "Additions of one- and two-digit numbers, all pairs",
          additions_all, 500, 0.95),
    Suite("additions_new_wordings", "Additions, held-out pairs in new wordings",
          additions_reworded, 300),
    Suite("names_three_turns", "A held-out name remembered over three turns", names, 200, 0.95),
    Suite("names_new_wordings", "The same in new wordings", names_reworded, 100),
    Suite("one_sentence", "Exactly one sentence when asked for it", one_sentence, 200, 0.98),
    Suite("one_sentence_new_wordings", "The same in new wordings", one_sentence_reworded, 100),
    Suite("tool_calls", "Right tool and right arguments, held-out values", tool_calls, 200, 0.90),
    Suite("tool_calls_new_wordings", "The same in new wordings", tool_calls_reworded, 100),
    Suite("tools_unused", "No call where no tool is needed", tools_unused, 100),
    Suite("tool_choice_required", 'A call when `tool_choice` is "required"', required_calls, 50),
    Suite("json_schema", "`response_format` with a JSON schema, right content",
          schema_answers, 50),
    Suite("capitals", "Capitals (facts cannot be held out)", capitals, len(CAPITALS)),
    Suite("capitals_new_wordings", "Capitals in new wordings", capitals_reworded, len(CAPITALS)),
    Suite("plans", "Planner: plan as JSON or list, exactly as expected", plans, 100),
    Suite("executor", "Executor: result of one step", executors, 100),
    Suite("critic", "Critic: right verdict", critics, 100),
    Suite("closing", "Closer: results put together without a change", closing, 100),
    Suite("first_contact", "What people try first", first_contact, 100),
)  # fmt: skip
