"""Capitals and some sixty small facts: the whole of what the model knows about the world."""

from __future__ import annotations

from pathlib import Path

from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks.phrasing import vary_case
from tools.tiny_model.words import CAPITALS, DAYS, MONTHS

Turn = tuple[str, str]

CAPITAL_OF = (
    "What is the capital of {c}?", "What's the capital of {c}?", "Capital of {c}?",
    "The capital of {c}?", "Name the capital of {c}.", "Tell me the capital of {c}.",
    "Which city is the capital of {c}?", "What city is the capital of {c}?",
    "Do you know the capital of {c}?", "What is the name of the capital of {c}?",
    "What is {c}'s capital?", "What's {c}'s capital?", "{c}'s capital?", "{c}'s capital city?",
    "Name {c}'s capital.", "What is the capital city of {c}?", "Give me the capital of {c}.",
    "Which city is {c}'s capital?", "What is the main city of {c}?", "{c}: capital?",
    "I would like to know the capital of {c}.", "What do they call the capital of {c}?",
    "What is the capital of the country {c}?", "Please name the capital city of {c}.",
    "Where does the government of {c} sit?", "The capital of {c} is?", "capital {c}",
    "What capital does {c} have?", "Which capital belongs to {c}?", "Say the capital of {c}.",
)  # fmt: skip
COUNTRY_OF = (
    "{k} is the capital of which country?", "Which country has {k} as its capital?",
    "Of which country is {k} the capital?", "What country is {k} the capital of?",
    "Which country's capital is {k}?",
)  # fmt: skip

# Two questions and their answer a line.
SMALL_FACTS = tuple(
    tuple(line.split("|"))
    for line in Path(__file__).with_name("facts.txt").read_text(encoding="utf-8").splitlines()
)


def capital(draw: Draw) -> Turn:
    if draw.chance(0.06):
        country = draw.country()
        city = CAPITALS[country]
        if list(CAPITALS.values()).count(city) == 1:
            return draw.pick(COUNTRY_OF).format(k=city), f"{city} is the capital of {country}."
    country = draw.country()
    question = draw.pick(CAPITAL_OF).format(c=country)
    return vary_case(draw, question), f"The capital of {country} is {CAPITALS[country]}."


def small_fact(draw: Draw) -> Turn:
    *questions, answer = draw.pick(SMALL_FACTS)
    return vary_case(draw, draw.pick(questions)), answer


def calendar(draw: Draw) -> Turn:
    """What comes before or after a day or a month."""
    cycle, noun = (DAYS, "day") if draw.chance(0.5) else (MONTHS, "month")
    at = draw.randrange(len(cycle))
    here, after, before = cycle[at], cycle[(at + 1) % len(cycle)], cycle[at - 1]
    if draw.chance(0.6):
        wording = draw.pick(
            ("What {n} comes after {x}?", "Which {n} follows {x}?", "What comes after {x}?")
        )
        return vary_case(draw, wording.format(n=noun, x=here)), f"{after} comes after {here}."
    wording = draw.pick(("What {n} comes before {x}?", "Which {n} is before {x}?"))
    return vary_case(draw, wording.format(n=noun, x=here)), f"{before} comes before {here}."


def turn(draw: Draw) -> Turn:
    kind = draw.random()
    if kind < 0.68:
        return capital(draw)
    return small_fact(draw) if kind < 0.9 else calendar(draw)
