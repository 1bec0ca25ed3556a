"""Ways of putting a request, shared by all tasks: many wordings are not learnt by heart."""

from __future__ import annotations

from tools.tiny_model.chat import Message, system
from tools.tiny_model.draw import Draw

OPENERS = (
    "Please ", "Could you ", "Can you ", "Hey, ", "Hi, ", "OK, ", "Now ", "Quick question: ",
    "I need help: ", "Tell me: ", "Next: ", "Hello! ", "So, ", "Would you ", "Well, ",
    "One more: ", "Kindly ", "Also, ", "Then ", "Question: ", "Task: ", "Let's see: ",
    "I want to know: ",
)  # fmt: skip
CLOSERS = (
    " please",
    ", please",
    " Thanks.",
    " Thank you!",
    " for me",
    " now",
    " today",
    " if you can",
)

SYSTEM_PROMPTS = (
    "You are a helpful assistant.", "You are a friendly assistant.", "Be brief.", "Be concise.",
    "You are NovaSystem.", "Answer the user's questions.", "You are a careful assistant.",
    "You are nova-tiny, a very small model.", "Be polite and short.", "Help the user.",
    "You are an honest assistant. Say so when you do not know.", "Answer truthfully.",
    "You are a helpful AI assistant that answers questions.", "Respond in English.",
)  # fmt: skip
ROLES = (
    "market analyst", "teacher", "pirate", "writer", "chef", "travel guide", "doctor", "lawyer",
    "software engineer", "data scientist", "librarian", "coach", "poet", "tester", "executor",
    "researcher", "summarizer", "engineer", "gardener", "historian", "support agent", "worker",
)  # fmt: skip
ROLE_ADVICE = (
    "", " Be brief.", " Answer in plain words.", " Give short answers.",
    " You look at {} every day.",
    " You know a lot about {}.", " Do the step you are given.", " Your topic is {}.",
    " Answer with facts only.", " Carry out the task and give the result.",
)  # fmt: skip


def vary(draw: Draw, text: str) -> str:
    """Adds an opener or a closer, or drops capitals and the final mark."""
    if draw.chance(0.15):
        opener = draw.pick(OPENERS)
        text = opener + (text[0].lower() + text[1:] if text[1:2].islower() else text)
    if draw.chance(0.07) and text[-1:] in ".?!":
        text = text[:-1] + draw.pick(CLOSERS) + (text[-1] if draw.chance(0.5) else "")
    kind = draw.random()
    if kind < 0.08:
        return text.rstrip(".?!")
    if kind < 0.11:
        return text.rstrip(".?!") + draw.pick(("!", "?", ".", " ?", "..", "!!"))
    return text


def vary_case(draw: Draw, text: str) -> str:
    """`vary`, and now and then all in small letters; only where no value must keep its capitals."""
    text = vary(draw, text)
    return text.lower() if draw.chance(0.08) else text


def system_prompt(draw: Draw, probability: float = 0.25) -> list[Message]:
    """None at all, or one that must not throw the model off."""
    if not draw.chance(probability):
        return []
    if draw.chance(0.6):
        return [system(draw.pick(SYSTEM_PROMPTS))]
    return [system(persona(draw))]


def persona(draw: Draw) -> str:
    role = draw.pick(ROLES) if draw.chance(0.7) else f"{draw.thing()} {draw.pick(ROLES)}"
    article = "an" if role[0] in "aeiou" else "a"
    return f"You are {article} {role}." + draw.pick(ROLE_ADVICE).format(draw.noun())
