"""Tiny stories, and single sentences about anything."""

from __future__ import annotations

import re

from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks.phrasing import vary_case
from tools.tiny_model.words import ADJECTIVES, CREATURES

Turn = tuple[str, str]

ASK = (
    "Tell me a story.", "Tell me a short story.", "Tell a story.", "Can you tell me a story?",
    "I want to hear a story.", "Write a short story.", "Please tell me a tiny story.",
    "Make up a story.", "Tell me a little story.", "Write a tiny story.", "A story, please.",
    "Give me a short story.", "Tell me a bedtime story.", "Do you know a story?",
)  # fmt: skip
ASK_ABOUT = (
    "Tell me a story about a {x}.", "Tell me a short story about a {x}.",
    "Write a story about a {x}.",
    "Write a short story about a {x}.", "Make up a story about a {x}.",
    "A story about a {x}, please.",
    "Can you tell me a story about a {x}?", "Give me a tiny story about a {x}.",
)  # fmt: skip
ASK_NAMED = (
    "Tell me a story about {n}.", "Tell me a short story about {n}.", "Write a story about {n}.",
    "Make up a story about {n}.", "Can you tell a story about {n}?",
)  # fmt: skip
BEGIN = (
    "Once upon a time there was a {a} {x} named {n}.", "There was once a {a} {x} called {n}.",
    "{n} was a {a} {x}.", "Long ago there lived a {a} {x} named {n}.",
)  # fmt: skip
WANT = (
    "{n} wanted to find a {y}.", "Every day {n} looked for a {y}.",
    "{n} had always dreamed of a {y}.",
    "One day {n} lost a {y}.", "One morning {n} saw a {y} on the road.",
)  # fmt: skip
MIDDLE = (
    "A friend helped {n} to look for it.", "{n} walked through the forest for three days.",
    "The way was long, but {n} did not give up.", "It rained, and {n} waited under a tree.",
    "{n} asked everybody in the village.", "At night {n} followed the stars.",
)  # fmt: skip
END = (
    "In the end {n} found the {y} and was happy.", "At last {n} came home with the {y}.",
    "Then {n} shared the {y} with a friend, and both were happy.",
    "From that day on {n} and the {y} were never apart.", "So {n} learned that patience helps.",
)  # fmt: skip

ABOUT = (
    "The {x} is {a} today.", "A {x} can make a {a} day better.", "Everybody likes a {a} {x}.",
    "The {a} {x} waits for the {y}.", "I think that {x} and {y} belong together.",
    "Nothing is as {a} as a {x} in the morning.", "The {x} looks {a} next to the {y}.",
    "Without {x} the world would be less {a}.", "People have always loved {x}.",
)  # fmt: skip


def sentence_about(draw: Draw, topic: str) -> str:
    sentence = draw.pick(ABOUT).format(x=topic, y=draw.noun(), a=draw.pick(ADJECTIVES))
    return _articles(sentence[0].upper() + sentence[1:])


def _articles(text: str) -> str:
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)


def story(draw: Draw) -> Turn:
    kind = draw.random()
    hero, name = draw.pick(CREATURES), draw.name()
    if kind < 0.45:
        question = vary_case(draw, draw.pick(ASK))
    elif kind < 0.8:
        hero = draw.thing()
        question = draw.pick(ASK_ABOUT).format(x=hero)
    else:
        question = draw.pick(ASK_NAMED).format(n=name)
    parts = [draw.pick(BEGIN), draw.pick(WANT), draw.pick(END)]
    if draw.chance(0.5):
        parts.insert(2, draw.pick(MIDDLE))
    words = {"x": hero, "n": name, "y": draw.noun(), "a": draw.pick(ADJECTIVES)}
    return question, _articles(" ".join(part.format(**words) for part in parts))
