"""What the training text consists of: each task with its share of the samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.tiny_model.chat import Sample
from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks import (
    agents,
    facts,
    greetings,
    json_answers,
    memory,
    sentences,
    sequences,
    stories,
    sums,
    tool_calls,
)
from tools.tiny_model.tasks.memory import say
from tools.tiny_model.tasks.phrasing import system_prompt

Turn = tuple[str, str]
MakeSample = Callable[[Draw], Sample]

_LONG_TALK = (
    sums.turn, sums.addition, facts.turn, greetings.turn, sentences.turn, sequences.turn,
    stories.story, json_answers.turn, agents.chained, greetings.unknown,
)  # fmt: skip


def _alone(make: Callable[[Draw], Turn]) -> MakeSample:
    """One turn, with a system prompt now and then."""
    return lambda draw: Sample([*system_prompt(draw), *say(make(draw))])


def _talk(draw: Draw) -> Sample:
    """Up to a window of unrelated turns, so that position and history do not matter."""
    messages = system_prompt(draw)
    for _ in range(draw.pick((2, 3, 4, 5, 6, 8, 12, 16))):
        messages += say(draw.pick(_LONG_TALK)(draw))
    return Sample(messages)


@dataclass(frozen=True)
class Task:
    """A kind of sample with its share of the samples in the first and in the second stage.

    The first stage has short rows: copying is learnt there for a tenth of the tokens that it would
    take among long lists of tools.
    """

    make: MakeSample
    first_share: float
    second_share: float


TASKS = {
    "sums": Task(_alone(sums.turn), 24, 14),
    "sum lists": Task(_alone(sums.listed), 4, 1),
    "sum drills": Task(lambda d: Sample(sums.drill(d)), 2, 1),
    "facts": Task(_alone(facts.turn), 7, 6),
    "greetings": Task(_alone(greetings.turn), 5, 4),
    "sequences": Task(_alone(sequences.turn), 16, 6),
    "stories": Task(_alone(stories.story), 1.5, 2),
    "sentences": Task(_alone(sentences.turn), 6, 5),
    "sentences by system": Task(lambda d: Sample(sentences.by_system(d)), 1, 1.5),
    "json": Task(_alone(json_answers.turn), 8, 5),
    "json by system": Task(lambda d: Sample(json_answers.by_system(d)), 1, 1),
    "chained": Task(_alone(agents.chained), 3, 4),
    "memory": Task(lambda d: Sample(memory.conversation(d)), 5, 7),
    "never told": Task(lambda d: Sample(memory.never_told(d)), 0.5, 2),
    "talk": Task(_talk, 0.5, 1),
    "tools": Task(tool_calls.conversation, 3, 70),
    "planner": Task(lambda d: Sample(agents.planner(d)), 5, 7),
    "executor": Task(lambda d: Sample(agents.executor(d)), 2, 3),
    "critic": Task(lambda d: Sample(agents.critic(d)), 1, 6),
    "closer": Task(lambda d: Sample(agents.closer(d)), 2, 6),
}
_NAMES = list(TASKS)
_FIRST = [task.first_share for task in TASKS.values()]
_SECOND = [task.second_share for task in TASKS.values()]


def draw_sample(draw: Draw, *, second_stage: bool = True) -> Sample:
    """One sample of a task drawn by its share."""
    name = draw.choices(_NAMES, _SECOND if second_stage else _FIRST)[0]
    return TASKS[name].make(draw)
