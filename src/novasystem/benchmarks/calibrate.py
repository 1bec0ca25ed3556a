"""Made-up prompts of a wanted length in tokens, as the engine itself counts them.

No tokenizer and no network is needed: a text of common words is asked for one token, and what the
engine reports as the prompt's length (``usage``, ``prompt_eval_count``) says how many words more
or fewer it takes. Where the engine also counts a bare text (``/tokenize``), one request shows what
its chat template adds, and the rest is counted without asking the model.

Texts of one length differ in the order of their first words alone. Tokenizers split a text at its
spaces before anything else, so that the same words in another order are as many tokens.
"""

import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Any

from novasystem.engines.events import Usage
from novasystem.engines.protocol import Engine
from novasystem.engines.requests import GenerateRequest, Message
from novasystem.errors import EngineProtocolError, InvalidRequest

__all__ = ["Length", "MadeTexts", "calibrate", "counter", "made_texts"]

PROBES = 16
_VARIED = 64
_TEXT = (
    "the of and to in is that it was for on are with as his they be at one have this from or had "
    "by but some what there we can out other were all your when up use word how said an each she "
    "which do their time if will way about many then them would write like so these her long make"
)
_WORDS = _TEXT.split()
_FILL = "a"

Count = Callable[[str], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Length:
    """A text of ``words`` common words and ``fill`` short ones, behind another or on its own.

    ``tokens`` was wanted, ``counted`` is what the engine made of it, each with what lies before.
    """

    tokens: int
    counted: int
    words: int
    fill: int
    after: "Length | None" = None

    def text(self, seed: str) -> str:
        """The text; its first words in an order that the seed decides."""
        start = 0 if self.after is None else self.after.words
        own = [_WORDS[n % len(_WORDS)] for n in range(start, start + self.words)]
        own += [_FILL] * self.fill
        if self.after is not None:
            return " ".join([self.after.text(seed), *own])
        first = own[:_VARIED]
        random.Random(seed).shuffle(first)
        return " ".join([*first, *own[_VARIED:]])


class MadeTexts:
    """Prompts of the lengths that were calibrated, by depth and tokens."""

    def __init__(self, lengths: dict[tuple[int, int], Length]) -> None:
        self._lengths = lengths

    def prompt(self, tokens: int, seed: str) -> str:
        return self._lengths[0, tokens].text(seed)

    def deep(self, depth: int, tokens: int, seed: str) -> tuple[str, str]:
        length = self._lengths[depth, tokens]
        assert length.after is not None
        return length.after.text(seed), length.text(seed)

    def plain(self) -> list[Any]:
        """As JSON, for another process."""
        return [[*where, asdict(length)] for where, length in self._lengths.items()]

    @classmethod
    def of(cls, plain: list[Any]) -> "MadeTexts":
        return cls({(depth, tokens): _length(given) for depth, tokens, given in plain})


def _length(plain: dict[str, Any]) -> Length:
    after = plain["after"]
    return Length(**{**plain, "after": None if after is None else _length(after)})


async def made_texts(count: Count, wanted: Sequence[tuple[int, int]]) -> MadeTexts:
    """Prompts for each depth and length in ``wanted``; raises as :func:`calibrate`."""
    depths = {d: await calibrate(count, d) for d in sorted({d for d, _ in wanted if d})}
    found = {}
    for depth, tokens in wanted:
        found[depth, tokens] = await calibrate(count, depth + tokens, after=depths.get(depth))
    return MadeTexts(found)


async def calibrate(count: Count, tokens: int, *, after: Length | None = None) -> Length:
    """A text that has, with ``after`` before it, ``tokens`` tokens: within 1, or within 1 %.

    At most :data:`PROBES` counts. Raises ``InvalidRequest`` where no such text is found, mostly
    since what the chat template adds is longer than what was asked for.
    """
    search = _Search(count, tokens, after)
    best = await search.run()
    if abs(best.counted - tokens) <= max(1, tokens // 100):
        return best
    raise InvalidRequest(
        f"No prompt of {tokens} tokens could be made: the nearest has {best.counted}.",
        hint=f"Ask for at least {best.counted} tokens."
        if best.counted > tokens
        else "Ask for another length.",
    )


class _Search:
    """Newton's way on a step function: a straight line through two counts says where to look."""

    def __init__(self, count: Count, tokens: int, after: Length | None) -> None:
        self._count = count
        self._tokens = tokens
        self._after = after
        self._left = PROBES
        self._seeds = itertools.count()
        self._best: Length | None = None

    async def run(self) -> Length:
        low = await self._counted(1)
        assert self._best is not None
        if low >= self._tokens:
            return self._best
        words, per_word = 1, 0.0
        high_words: int | None = None
        step = min(8, max(1, self._tokens - low))
        while self._left > 4 and low != self._tokens:
            tried = words + step
            counted = await self._counted(tried)
            if counted == self._tokens:
                return self._best
            per_word = (counted - low) / step or per_word or 1.0
            if counted < self._tokens:
                words, low = tried, counted
            else:
                high_words = tried
            step = max(1, int((self._tokens - low) / per_word))
            if high_words is not None:
                if high_words - words <= 1:
                    break
                step = min(step, high_words - words - 1)
        return await self._filled(words, low)

    async def _filled(self, words: int, low: int) -> Length:
        """What is missing to ``low`` in short words, none of which has more tokens than one has."""
        fill = 0
        while self._left and low < self._tokens:
            tried = fill + max(1, self._tokens - low) if fill == 0 else fill + 1
            counted = await self._counted(words, tried)
            if counted == self._tokens:
                break
            if counted > self._tokens:
                if tried <= fill + 1:
                    break
                tried = fill + max(1, (tried - fill) * (self._tokens - low) // (counted - low))
                counted = await self._counted(words, tried)
                if counted >= self._tokens:
                    break
            fill, low = tried, counted
        assert self._best is not None
        return self._best

    async def _counted(self, words: int, fill: int = 0) -> int:
        """Tokens of such a text; each one asked begins differently, so that none is cached."""
        self._left -= 1
        length = Length(self._tokens, 0, words, fill, self._after)
        counted = await self._count(length.text(f"probe {next(self._seeds)}"))
        best = self._best
        if best is None or abs(counted - self._tokens) < abs(best.counted - self._tokens):
            self._best = replace(length, counted=counted)
        return counted


def counter(engine: Engine, request: GenerateRequest) -> Count:
    """Counts a text as a prompt of that engine's model, what its template adds included.

    ``request``: how it is asked; its messages are replaced, and one token is asked for.
    """
    added: list[int] = []

    async def count(text: str) -> int:
        if added:
            bare = await engine.count_tokens(request.model, text)
            if bare is not None:
                return bare + added[0]
        whole = await _asked(engine, request, text)
        bare = None if added else await engine.count_tokens(request.model, text)
        if bare is not None:
            added.append(whole - bare)
        return whole

    return count


async def _asked(engine: Engine, request: GenerateRequest, text: str) -> int:
    probe = replace(
        request,
        messages=(Message("user", text),),
        sampling=replace(request.sampling, max_tokens=1),
    )
    counted: int | None = None
    async with aclosing(engine.generate(probe)) as events:
        async for event in events:
            if isinstance(event, Usage):
                counted = event.prompt_tokens
    if counted is None:
        raise EngineProtocolError(
            engine.name,
            f"Engine '{engine.name}' at {engine.where} does not say how many tokens a prompt has.",
            hint="Prompts of a given length need that: use a workload of your own prompts.",
        )
    return counted
