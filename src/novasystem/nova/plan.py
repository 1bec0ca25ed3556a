"""A plan: what the planner said as steps, who carries each out, and which needs which. Pure.

A step is one sentence. Which earlier steps it needs stands in its words: "step 2", "steps 1 and 3"
or "steps 1 to 3" name them; "the result", "that number", "it" mean the step before it; "all
results", "both", "them" mean every step before it. A step without such a word needs none, and is
carried out at once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from novasystem.nova.agents import Agent

__all__ = ["Step", "as_steps", "named_in", "order", "shown", "with_dependents"]

_NAMED = re.compile(
    r"\b(after |steps? |results? )"
    r"(#?\d{1,2}(?:(?:(?:,|,? and|,? or| to| through) (?:step )?| ?[-\u2013] ?)#?\d{1,2})*)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(to |through |[-\u2013] ?)?(?:step )?#?(\d{1,2})", re.IGNORECASE)
_ALL = re.compile(
    r"\b(?:(?:the|all|these|those|both|earlier|previous) (?:the )?(?:results|answers|numbers|"
    r"findings|steps)|all of (?:them|it|this)|both of them|them|both)\b",
    re.IGNORECASE,
)
_LAST = re.compile(
    r"\b(?:(?:the|that|this|its|previous|last) (?:previous |last )?(?:result|answer|sum|product|"
    r"difference|number|total|value|text|sentence|list)|to it|from it|with it|by it|of it|"
    r"it (?:by|to|with|into)|multiply it|double it|halve it|translate it|summari[sz]e it|"
    r"to that|from that|of that)\b",
    re.IGNORECASE,
)
_SAYS_WHO = re.compile(r"^@?([A-Za-z][\w-]*)\s*:\s*(\S.*)$", re.DOTALL)
_LEADING = re.compile(r"^\s*(?:step\s*)?\d{1,2}[.):](?!\d)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``number`` counts from 1 over all rounds of an ask; ``depends_on``: the numbers
    of the steps whose results it is given; ``agent``: who carries it out."""

    number: int
    title: str
    agent: str
    depends_on: tuple[int, ...] = ()


def as_steps(
    said: Sequence[str], executors: Mapping[str, Agent], earlier: Sequence[Step] = ()
) -> list[Step]:
    """The steps of a plan behind the ``earlier`` ones; one that needs nothing and was said before
    is left out.

    In a plan of a later round, what counts from 1 is the whole list. What the planner counts is
    what it said: a number that it names means the step which that place has become.
    """
    steps: list[Step] = []
    known = {_plain(step.title): step.number for step in earlier}
    places = {step.number: step.number for step in earlier}
    for place, text in enumerate(said, len(earlier) + 1):
        title = _LEADING.sub("", text).strip()
        agent, title = _who(title, executors)
        if not title:
            continue
        needs, same = _needs(title, places), known.get(_plain(title))
        if same is not None and not needs:
            places[place] = same
            continue
        number = places[place] = len(earlier) + len(steps) + 1
        known.setdefault(_plain(title), number)
        steps.append(Step(number, title, agent, needs))
    return steps


def _plain(title: str) -> str:
    return " ".join(title.casefold().split()).rstrip(".")


def _who(title: str, executors: Mapping[str, Agent]) -> tuple[str, str]:
    """The agent that the step names at its beginning, or whose words it has."""
    named = _SAYS_WHO.match(title)
    if named is not None:
        for name in executors:
            if name.casefold() == named[1].casefold():
                return name, named[2].strip()
    words = set(re.findall(r"\w+", title.casefold()))
    for name, agent in executors.items():
        if words & {word.casefold() for word in agent.words}:
            return name, title
    return "executor", title


def _needs(title: str, places: Mapping[int, int]) -> tuple[int, ...]:
    """``places``: of each step before it, its place in the plan as it was said, and its number."""
    named = {places[place] for place in _numbers(title) if place in places}
    if named:
        return tuple(sorted(named))
    if _ALL.search(title):
        return tuple(sorted(set(places.values())))
    if _LAST.search(title) and places:
        return (places[max(places)],)
    return ()


def _numbers(text: str) -> set[int]:
    """The numbers of steps that it names. "steps 1 to 3" are three of them; "add step 1 to 3" may
    well mean the number 3."""
    numbers: set[int] = set()
    for found in _NAMED.finditer(text):
        several, before = found[1].casefold() in {"steps ", "results "}, 0
        for one in _NUMBER.finditer(found[2]):
            joined, number = (one[1] or "").casefold().strip(), int(one[2])
            whole = joined and (several or joined != "to")
            numbers.update(range(before, number) if whole else (), (number,))
            before = number
    return numbers


def order(steps: Sequence[Step]) -> list[Step]:
    """By number: a step needs only earlier ones."""
    return sorted(steps, key=lambda step: step.number)


def named_in(reason: str, steps: Sequence[Step]) -> list[Step]:
    """The steps that a critic's reason names: by their words, or by their numbers."""
    said = _plain(reason)
    by_words = [step for step in steps if _plain(step.title) in said]
    if by_words:
        return by_words
    numbers = _numbers(reason)
    return [step for step in steps if step.number in numbers]


def with_dependents(chosen: Sequence[Step], steps: Sequence[Step]) -> list[Step]:
    """``chosen``, and whatever needs their results, and so on."""
    numbers = {step.number for step in chosen}
    for step in order(steps):
        if numbers & set(step.depends_on):
            numbers.add(step.number)
    return [step for step in order(steps) if step.number in numbers]


def shown(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """As watchers are told."""
    return [
        {"number": s.number, "title": s.title, "depends_on": list(s.depends_on), "agent": s.agent}
        for s in steps
    ]
