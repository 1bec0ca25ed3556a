"""Counting and repeating: short answers that follow the question letter by letter."""

from __future__ import annotations

from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks.phrasing import vary
from tools.tiny_model.words import listed

Turn = tuple[str, str]

NUMBER_WORDS = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty"
)
COUNT_TO = (
    "Count to {n}.", "Count up to {n}.", "Count from 1 to {n}.", "Count from one to {n}.",
    "Can you count to {n}?", "Please count to {n}.", "List the numbers from 1 to {n}.",
    "Give me the numbers 1 to {n}.", "Count until {n}.", "Say the numbers up to {n}.",
    "Write the numbers from 1 to {n}.", "Numbers from 1 to {n}", "Show me how you count to {n}.",
)  # fmt: skip
COUNT_FROM = (
    "Count from {a} to {b}.", "Count up from {a} to {b}.", "List the numbers from {a} to {b}.",
    "Give me the numbers from {a} to {b}.", "Start at {a} and count to {b}.",
)  # fmt: skip
COUNT_DOWN = (
    "Count down from {n}.", "Count backwards from {n}.", "Count down from {n} to 1.",
    "Count backwards from {n} to 1.", "Do a countdown from {n}.", "Start at {n} and count down.",
)  # fmt: skip
REPEAT = (
    "Repeat: {x}", "Say {x}.", "Repeat after me: {x}", "Say this: {x}", "Echo: {x}", "Write {x}.",
    "Repeat the words {x}.", "Answer with {x}.", "Reply with {x}.", "Please say {x}.",
    "Say only {x}.", "Copy this: {x}", "Repeat this: {x}", "Just say {x}.",
)  # fmt: skip


def counting(draw: Draw) -> Turn:
    kind = draw.random()
    if kind < 0.55:
        n = 10 if draw.chance(0.25) else draw.randint(2, 20)
        shown = NUMBER_WORDS[n] if draw.chance(0.5) else str(n)
        question = draw.pick(COUNT_TO).format(n=shown)
        return vary(draw, question), ", ".join(map(str, range(1, n + 1)))
    if kind < 0.8:
        start = draw.randint(0, 90)
        end = start + draw.randint(2, 9)
        numbers = ", ".join(map(str, range(start, end + 1)))
        return vary(draw, draw.pick(COUNT_FROM).format(a=start, b=end)), numbers
    n = 10 if draw.chance(0.25) else draw.randint(3, 20)
    shown = NUMBER_WORDS[n] if draw.chance(0.4) else str(n)
    numbers = ", ".join(map(str, range(n, 0, -1)))
    return vary(draw, draw.pick(COUNT_DOWN).format(n=shown)), numbers


def repeating(draw: Draw) -> Turn:
    """Copies a word, a name, a phrase or a number: the skill behind every tool argument."""
    kind = draw.random()
    if kind < 0.3:
        text = draw.phrase()
    elif kind < 0.5:
        text = draw.made_up(2, 5)
    elif kind < 0.65:
        text = draw.name()
    elif kind < 0.8:
        text = str(draw.number(0, 999_999))
    else:
        text = " ".join(draw.thing() for _ in range(draw.randint(2, 5)))
    if draw.chance(0.2):
        text = text.capitalize() if draw.chance(0.5) else text.upper()
    return draw.pick(REPEAT).format(x=text), text


def turn(draw: Draw) -> Turn:
    return counting(draw) if draw.chance(0.4) else repeating(draw)
