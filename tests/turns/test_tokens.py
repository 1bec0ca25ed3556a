"""Tokens are counted by the engine where it tells, and estimated otherwise; nothing ever fails."""

import time

import pytest

from novasystem.turns.fitting import estimate
from novasystem.turns.tokens import count, most
from tests.servers.answers import Close, Send, Stall, Step, json_answer
from tests.turns.conftest import Counting

TEXT = "one two three four five"


async def test_an_engine_that_tokenizes_is_asked(counting: Counting) -> None:
    assert await count(counting.registry, "m", TEXT) == (5, True)
    assert counting.counted == [TEXT]
    assert await count(counting.registry, "m", "") == (0, True)


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(404, {"detail": "Not Found"}),
        json_answer(500, {"error": {"message": "out of memory"}}),
        json_answer(200, {"number": 5}),
        json_answer(200, [1]),
        [Send(b"nonsense\r\n\r\n"), Close()],
        [Close()],
    ],
    ids=["404", "500", "other body", "list", "no HTTP", "closed"],
)
async def test_one_that_cannot_is_estimated_and_not_asked_again_at_once(
    counting: Counting, answer: list[Step]
) -> None:
    asked: list[object] = []

    def refuse(seen: object) -> list[Step]:
        asked.append(seen)
        return answer

    counting.upstream.asks("POST", "/tokenize", refuse)
    for _ in range(5):
        assert await count(counting.registry, "m", TEXT) == (estimate(TEXT), False)
    # A connection that was kept and found closed is tried once more.
    assert len(asked) <= 2


async def test_one_that_says_nothing_takes_two_seconds_once(counting: Counting) -> None:
    counting.upstream.asks("POST", "/tokenize", lambda _seen: [Stall()])
    started = time.monotonic()
    for _ in range(5):
        assert await count(counting.registry, "m", TEXT) == (estimate(TEXT), False)
    assert time.monotonic() - started < 8


async def test_a_model_that_is_not_there_is_estimated(counting: Counting) -> None:
    assert await count(counting.registry, "absent", TEXT) == (estimate(TEXT), False)


async def test_a_text_that_is_enormous_is_not_sent(counting: Counting) -> None:
    tokens, exact = await count(counting.registry, "m", "a" * 1_000_001)
    assert (tokens, exact) == (estimate("a" * 1_000_001), False)
    assert not counting.counted


@pytest.mark.parametrize("text", ["", "a", "Ωμέγα", "🙂", "1234", "\ud800"])
def test_the_bound_is_no_less_than_the_estimate(text: str) -> None:
    assert most(text) >= estimate(text) - 1
    assert most(text) >= len(text)
