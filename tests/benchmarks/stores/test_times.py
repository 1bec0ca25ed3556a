"""A span of time as sets of hours and of stretches of hours."""

import random

import pytest

from novasystem.benchmarks.stores.times import HOUR_US, Span, covering, time_terms

YEAR_US = 365 * 24 * HOUR_US


def is_within(at_us: int, terms: list[str], spans: list[Span]) -> bool:
    """As the sets say it; in one of them only, or at one of the ends."""
    times = len(time_terms(at_us) & set(terms))
    times += sum(since <= at_us < until for since, until in spans)
    assert times <= 1
    return times == 1


@pytest.mark.parametrize("longest_us", [HOUR_US // 2, 3 * HOUR_US, 40 * HOUR_US, YEAR_US])
def test_the_sets_and_the_ends_are_the_span(longest_us: int) -> None:
    draw = random.Random(7)
    for _ in range(200):
        begin = draw.randrange(-YEAR_US, 60 * YEAR_US)
        end = begin + draw.randrange(longest_us)
        terms, spans = covering(begin, end)
        near = [draw.randrange(begin - HOUR_US, end + HOUR_US) for _ in range(50)]
        for at in [*near, begin - 1, begin, end - 1, end]:
            assert is_within(at, terms, spans) == (begin <= at < end), (begin, end, at)
        # What the sets do not hold is looked at row by row: never more than two hours.
        assert sum(until - since for since, until in spans) < 2 * HOUR_US


def test_a_long_span_is_a_few_sets() -> None:
    terms, spans = covering(HOUR_US // 2, 20 * YEAR_US + HOUR_US // 2)
    assert len(terms) == len(set(terms)) < 350
    assert len(spans) == 2


def test_whole_hours_have_no_ends() -> None:
    assert covering(5 * HOUR_US, 7 * HOUR_US) == (["t0:5", "t0:6"], [])
    assert covering(5, 5) == ([], [])
