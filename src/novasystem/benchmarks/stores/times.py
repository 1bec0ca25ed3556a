"""Time in hours, and in stretches of them: a span of any length is a few sets of numbers.

Each benchmark is in the set of its hour, of its 32 hours and of its 1,024 hours. What lies in a
span is what is in the largest of these that fit into it, and of the two ends, where these are no
whole hours, what is seen by looking.
"""

__all__ = ["HOUR_US", "Span", "covering", "time_terms"]

HOUR_US = 3_600_000_000
_LEVELS = 3
_FAN = 5
"""An hour is one of 2**5 in a stretch, and that one of as many in the next."""

Span = tuple[int, int]
"""From and until, in microseconds since 1970; the end is not part of it."""


def time_terms(at_us: int) -> frozenset[str]:
    hour = at_us // HOUR_US
    return frozenset(_term(level, hour >> (_FAN * level)) for level in range(_LEVELS))


def covering(begin_us: int, end_us: int) -> tuple[list[str], list[Span]]:
    """The sets whose members are all within, and what of the span none of them covers."""
    first, end = -(-begin_us // HOUR_US), end_us // HOUR_US
    if first >= end:
        return [], [(begin_us, end_us)] if begin_us < end_us else []
    ends = [(begin_us, first * HOUR_US), (end * HOUR_US, end_us)]
    terms: list[str] = []
    for level in range(_LEVELS):
        if level == _LEVELS - 1:
            terms += [_term(level, stretch) for stretch in range(first, end)]
            break
        # Whole stretches of the next level lie between these two.
        inner, outer = -(-first >> _FAN), end >> _FAN
        if inner >= outer:
            terms += [_term(level, stretch) for stretch in range(first, end)]
            break
        terms += [_term(level, stretch) for stretch in range(first, inner << _FAN)]
        terms += [_term(level, stretch) for stretch in range(outer << _FAN, end)]
        first, end = inner, outer
    return terms, [(since, until) for since, until in ends if since < until]


def _term(level: int, stretch: int) -> str:
    return f"t{level}:{stretch}"
