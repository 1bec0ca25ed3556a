"""Answers of exactly one sentence."""

from __future__ import annotations

from collections.abc import Callable

from tools.tiny_model.chat import Message, assistant, system, user
from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks import facts, greetings, sums
from tools.tiny_model.tasks.phrasing import vary
from tools.tiny_model.tasks.stories import sentence_about

Turn = tuple[str, str]

FRAMES = (
    "Respond in exactly one sentence: {q}", "Answer in exactly one sentence: {q}",
    "Respond in one sentence: {q}", "Answer in one sentence: {q}", "In one sentence: {q}",
    "In exactly one sentence: {q}", "{q} Respond in exactly one sentence.",
    "{q} Answer in one sentence.", "{q} One sentence only.", "One sentence, please: {q}",
    "Use exactly one sentence: {q}", "Reply in a single sentence: {q}", "In a single sentence: {q}",
    "{q} Answer with a single sentence.", "Give me one sentence: {q}",
    "{q} In one sentence, please.",
    "Keep it to one sentence: {q}", "Say it in one sentence: {q}", "{q} Please use one sentence.",
    "Respond with exactly one sentence. {q}", "Answer with exactly one sentence. {q}",
    "Respond in exactly one sentence.\n\n{q}", "{q}\nRespond in exactly one sentence.",
    "Your answer must be exactly one sentence: {q}", "Answer briefly, in one sentence: {q}",
)  # fmt: skip
WRITE = (
    "Write one sentence about {x}.", "Write a sentence about {x}.", "Say one sentence about {x}.",
    "Give me one sentence about {x}.", "One sentence about {x}, please.",
    "Make a sentence with {x}.",
    "Write exactly one sentence about {x}.", "Tell me one sentence about {x}.",
    "Describe {x} in one sentence.", "Describe {x} in exactly one sentence.",
    "Say something about {x} in one sentence.", "Respond in exactly one sentence about {x}.",
    "Write a single sentence about {x}.", "Form one sentence about {x}.",
)  # fmt: skip
SYSTEMS = (
    "Respond in exactly one sentence.", "Answer in one sentence.", "Always answer in one sentence.",
    "You answer in exactly one sentence.", "Use one sentence per answer.",
)  # fmt: skip
HELLO = "Hello, how can I help you?"
SELF = "I am nova-tiny, the small language model inside NovaSystem."
UNKNOWN = "I am a very small model and do not know that."


def any_question(draw: Draw) -> Turn:
    """A question and an answer that is one sentence, whoever asks."""
    kind = draw.random()
    if kind < 0.35:
        return facts.turn(draw)
    if kind < 0.5:
        return sums.addition(draw)
    if kind < 0.6:
        return draw.pick(greetings.HELLOS), HELLO
    if kind < 0.68:
        return draw.pick(greetings.ABOUT_ME[0][0]), SELF
    if kind < 0.76:
        name = draw.name()
        wording = draw.pick(("Say hello to {n}.", "Greet {n}.", "Say hi to {n}."))
        return wording.format(n=name), f"Hello, {name}!"
    return greetings.unknown(draw)[0], UNKNOWN


def write(draw: Draw) -> Turn:
    topic = draw.thing() if draw.chance(0.8) else draw.name()
    return vary(draw, draw.pick(WRITE).format(x=topic)), sentence_about(draw, topic)


def framed(draw: Draw) -> Turn:
    question, answer = any_question(draw)
    if answer.rstrip("0123456789") == "":
        question, answer = facts.capital(draw)
    return draw.pick(FRAMES).format(q=question), answer


def by_system(draw: Draw) -> list[Message]:
    """The demand stands in the system prompt and holds for every turn."""
    messages = [system(draw.pick(SYSTEMS))]
    for _ in range(draw.randint(1, 3)):
        question, answer = write(draw) if draw.chance(0.25) else any_question(draw)
        messages += [user(question), assistant(answer)]
    return messages


def turn(draw: Draw) -> Turn:
    make: Callable[[Draw], Turn] = framed if draw.chance(0.7) else write
    return make(draw)
