"""Rounds in which the contestants take turns: A B C, B C A, C A B …

Neighbours in time see the same machine, so ratios are taken within a round; the rotation keeps a
drift from always hitting the same one. One round before the first warms up and is thrown away.
"""

import statistics
from collections.abc import Callable, Sequence

from tools.perf.contestants import Contestant
from tools.perf.report import Row

__all__ = ["ratio", "rounds", "rows"]

Values = dict[str, list[float]]


def rounds(
    contestants: Sequence[Contestant], count: int, measure: Callable[[Contestant], float]
) -> Values:
    """Each contestant's values, one a round."""
    values: Values = {contestant.name: [] for contestant in contestants}
    for contestant in contestants:
        measure(contestant)
    for turn in range(count):
        first = turn % len(contestants)
        for contestant in [*contestants[first:], *contestants[:first]]:
            values[contestant.name].append(measure(contestant))
    return values


def ratio(values: Values, name: str, yardstick: str) -> float:
    """The median, over the rounds, of one contestant's value over the yardstick's."""
    pairs = zip(values[name], values[yardstick], strict=True)
    return statistics.median(value / base for value, base in pairs)


def rows(values: Values, yardstick: str) -> list[Row]:
    return [Row(name, found, ratio(values, name, yardstick)) for name, found in values.items()]
