"""Random values, each from one side of the hold-out: training or evaluation, never both."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from tools.tiny_model import words
from tools.tiny_model.holdout import is_held_out, is_pair_held_out

T = TypeVar("T")


class Draw(random.Random):
    """A random source that knows which values it may use.

    `held_out=False` draws training values, `held_out=True` those that only the evaluation sees.
    """

    def __init__(self, seed: int | str, *, held_out: bool = False) -> None:
        super().__init__(seed)
        self.held_out = held_out

    def allowed(self, make: Callable[[], str]) -> str:
        """Repeats `make` until it gives a value of this side."""
        while True:
            value = make()
            if is_held_out(value) == self.held_out:
                return value

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def pair(self, digits: int = 0) -> tuple[int, int]:
        """Two numbers below 100 for an addition; `digits` = 1 keeps both below 10."""
        while True:
            first, second = (
                self.randrange(10 if digits == 1 or self.chance(0.08) else 100) for _ in "ab"
            )
            if digits == 1 or is_pair_held_out(first, second) == self.held_out:
                return first, second

    def made_up(self, low: int = 2, high: int = 4) -> str:
        """A word of random syllables, so that it can only be copied, not learnt by heart."""

        def make() -> str:
            word = "".join(self.choice(words.SYLLABLES) for _ in range(self.randint(low, high) - 1))
            return word + self.choice(words.SYLLABLES) + self._ending()

        while True:
            word = self.allowed(make)
            if not any(part in word for part in words.UNWANTED):
                return word

    def _ending(self) -> str:
        return self.choice(words.ENDINGS) if self.chance(0.5) else ""

    def name(self) -> str:
        if self.chance(0.45):
            return self.allowed(lambda: self.choice(words.FIRST_NAMES))
        return self.allowed(lambda: self.made_up(1, 3).capitalize())

    def city(self) -> str:
        """A town that is no capital, or an invented one; training also gets the capitals."""
        if not self.held_out and self.chance(0.25):
            return self.choice(list(words.CAPITALS.values()))
        if self.chance(0.4):
            return self.allowed(lambda: self.choice(words.TOWNS))
        return self.allowed(lambda: self.made_up(1, 3).capitalize())

    def country(self) -> str:
        return self.choice(list(words.CAPITALS))

    def noun(self) -> str:
        """An ordinary noun; nouns stand in every kind of sentence and are not held out."""
        return self.choice(words.NOUNS)

    def thing(self) -> str:
        """A noun, a described noun or a made-up word."""
        kind = self.random()
        if kind < 0.35:
            return self.noun()
        if kind < 0.65:
            return self.made_up(1, 3)
        return self.allowed(lambda: f"{self.choice(words.ADJECTIVES)} {self.noun()}")

    def phrase(self) -> str:
        """Two to five words that say something to do, to look for or to send."""

        def make() -> str:
            word = self.made_up(1, 3) if self.chance(0.4) else self.noun()
            adjective = self.choice(words.ADJECTIVES)
            verb = self.choice(words.VERBS)
            other = self.noun() if self.chance(0.5) else self.made_up(1, 3)
            return self.choice(
                (
                    f"{verb} the {word}",
                    f"{verb} the {adjective} {word}",
                    f"{verb} {word} and {other}",
                    f"{adjective} {word}",
                    f"{adjective} {word} for {other}",
                    f"{word} in the {other}",
                    f"{verb} the {word} at the {other}",
                    f"{word} {other}",
                )
            )

        return self.allowed(make)

    def number(self, low: int = 0, high: int = 999) -> int:
        """An integer; from 100 on it is subject to the hold-out."""
        while True:
            digits = self.randint(len(str(low)), len(str(high)))
            value = self.randint(max(low, 10 ** (digits - 1) if digits > 1 else 0), high)
            if value < 100 and (not self.held_out or high < 100):
                return value
            if value >= 100 and is_held_out(str(value)) == self.held_out:
                return value

    def pick(self, options: Sequence[T]) -> T:
        return self.choice(options)

    def time_of_day(self) -> str:
        """Training knows the minutes of a printed timetable, the evaluation only others."""
        usual = (0, 5, 10, 15, 20, 30, 40, 45, 50)
        unusual = (3, 8, 12, 17, 22, 27, 33, 38, 42, 47, 52, 57)
        return f"{self.randrange(24):02d}:{self.choice(unusual if self.held_out else usual):02d}"

    def date(self) -> str:
        return self.allowed(
            lambda: (
                f"20{self.randrange(20, 40)}-{self.randint(1, 12):02d}-{self.randint(1, 28):02d}"
            )
        )

    def email(self) -> str:
        host = self.made_up(1, 2)
        return f"{self.name().lower()}@{host}.{self.choice(('com', 'org', 'net', 'io'))}"
