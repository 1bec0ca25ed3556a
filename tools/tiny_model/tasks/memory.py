"""What the user said about themselves, remembered over a few turns."""

from __future__ import annotations

from dataclasses import dataclass

from tools.tiny_model.chat import Message, assistant, user
from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks import facts, greetings, sentences, sequences, stories, sums
from tools.tiny_model.tasks.phrasing import system_prompt

Turn = tuple[str, str]


@dataclass(frozen=True)
class Fact:
    """One thing to remember: how it is told, acknowledged, asked for and answered."""

    tell: tuple[str, ...]
    reply: tuple[str, ...]
    ask: tuple[str, ...]
    answer: str
    missing: str


NAME = Fact(
    tell=("My name is {v}.", "I am {v}.", "I'm {v}.", "Hi, I am {v}.", "Hello, my name is {v}.",
          "Call me {v}.", "Hi, I'm {v}.", "You can call me {v}.", "Hello! I'm {v}.",
          "{v} is my name.",
          "Hi! My name is {v}.", "People call me {v}.", "Please call me {v}.", "This is {v}.",
          "Hey, I'm {v}.", "My name's {v}.", "Good morning, I am {v}.", "The name is {v}.",
          "Hi, {v} here.", "Remember my name: {v}.", "My name is {v}. Remember it.",
          "Hello, I am {v}. How are you?", "My name is {v}, nice to meet you."),
    reply=("Nice to meet you, {v}!", "Hello, {v}! How can I help you?", "Hi, {v}!",
           "Nice to meet you, {v}! How can I help?"),
    ask=("What is my name?", "What's my name?", "Do you remember my name?", "Who am I?", "My name?",
         "Do you know my name?", "What was my name?", "Tell me my name.", "Say my name.",
         "Can you tell me my name?", "What am I called?", "Which name did I tell you?",
         "What did I say my name was?", "Do you still know my name?", "How am I called?",
         "So what is my name?", "And what is my name?", "Please say my name.",
         "What name did I give you?", "Remember my name?", "what is my name", "whats my name?"),
    answer="Your name is {v}.",
    missing="You have not told me your name.",
)  # fmt: skip
HOME = Fact(
    tell=("I live in {v}.", "I am from {v}.", "My home is {v}.", "I come from {v}.",
    "My city is {v}."),
    reply=("I will remember that you live in {v}.", "{v} sounds like a nice place."),
    ask=("Where do I live?", "Where am I from?", "Which city do I live in?", "What is my city?",
         "Do you remember where I live?"),
    answer="You live in {v}.",
    missing="You have not told me where you live.",
)  # fmt: skip
PET = Fact(
    tell=("My dog is called {v}.", "My pet is named {v}.", "I have a pet named {v}.",
          "My cat's name is {v}.", "The name of my pet is {v}."),
    reply=("{v} is a lovely name for a pet.", "Say hello to {v} from me!"),
    ask=("What is my pet called?", "What is the name of my pet?", "Do you remember my pet's name?",
         "What's my pet's name?"),
    answer="Your pet is called {v}.",
    missing="You have not told me about your pet.",
)  # fmt: skip
LIKING = Fact(
    tell=("My favorite thing is {v}.", "I like {v}.", "I love {v}.", "My favorite word is {v}."),
    reply=("I will remember that you like {v}.", "It is good to like {v}."),
    ask=("What do I like?", "What is my favorite thing?", "Do you remember what I like?",
         "Which thing do I like?"),
    answer="You like {v}.",
    missing="You have not told me what you like.",
)  # fmt: skip
CODE = Fact(
    tell=("My number is {v}.", "Remember the number {v}.", "The code is {v}.", "My code is {v}."),
    reply=("I will remember {v}.", "OK, {v}."),
    ask=("What is my number?", "What was the number?", "What is the code?", "Tell me my code."),
    answer="The number is {v}.",
    missing="You have not told me a number.",
)  # fmt: skip


def draw_value(draw: Draw, fact: Fact) -> str:
    if fact is HOME:
        return draw.city()
    if fact is LIKING:
        return draw.thing()
    if fact is CODE:
        return str(draw.number(10, 99_999))
    return draw.name()


def filler(draw: Draw) -> Turn:
    """A turn about something else, between telling and asking."""
    makers = (
        sums.turn, sums.addition, facts.turn, greetings.turn, sentences.turn, sequences.turn,
        greetings.unknown,
    )  # fmt: skip
    return stories.story(draw) if draw.chance(0.06) else draw.pick(makers)(draw)


def say(turn: Turn) -> list[Message]:
    question, answer = turn
    return [user(question), assistant(answer)]


def conversation(draw: Draw, fillers: int | None = None) -> list[Message]:
    """One or two facts are told, other things are talked about, then the facts are asked for."""
    told: dict[int, tuple[Fact, str]] = {}
    facts_here = [NAME] if draw.chance(0.7) else []
    facts_here += draw.sample(
        (HOME, PET, LIKING, CODE), 0 if facts_here and draw.chance(0.6) else 1
    )
    messages = system_prompt(draw)
    for fact in facts_here:
        value = draw_value(draw, fact)
        told[id(fact)] = (fact, value)
        question, reply = draw.pick(fact.tell), draw.pick(fact.reply)
        messages += say((question.format(v=value), reply.format(v=value)))
    count = draw.pick((0, 1, 1, 1, 2, 2, 3, 4)) if fillers is None else fillers
    for _ in range(count):
        messages += say(filler(draw))
    for fact, value in draw.sample(list(told.values()), len(told)):
        messages += say((draw.pick(fact.ask), fact.answer.format(v=value)))
        if draw.chance(0.2):
            messages += say(filler(draw))
    return messages


def never_told(draw: Draw) -> list[Message]:
    """Asked for what was never said, the model says so."""
    messages = system_prompt(draw)
    for _ in range(draw.randint(0, 2)):
        messages += say(filler(draw))
    fact = draw.pick((NAME, NAME, HOME, PET, LIKING, CODE))
    return messages + say((draw.pick(fact.ask), fact.missing))
