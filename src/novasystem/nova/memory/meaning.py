"""Messages found by what they mean: vectors of an embedding model, compared one by one.

A few thousand comparisons in plain Python take about a tenth of a second in a thread of their own;
so the newest 4,000 messages are looked at, and those before them are found by their words.
"""

import array
import math
import operator
import sys
from collections.abc import Sequence

from novasystem.nova.memory.store import Vector

__all__ = ["NEWEST", "nearest", "packed"]

NEWEST = 4_000
# Cosines below this say nothing with any of the usual models.
_LEAST = 0.35


def packed(vector: Sequence[float]) -> bytes:
    """Of length 1, as 32-bit numbers, the lowest byte first; empty for a vector of no length."""
    length = math.sqrt(math.fsum(x * x for x in vector))
    if not length or not math.isfinite(length):
        return b""
    return _little(array.array("f", (x / length for x in vector))).tobytes()


def _little(numbers: "array.array[float]") -> "array.array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def nearest(asked: bytes, among: Sequence[Vector], limit: int) -> list[int]:
    """Keys of the messages whose vectors lie nearest, the nearest first.

    A vector of another length is of another model under the same name, and left out.
    """
    question = _numbers(asked)
    if not question:
        return []
    found = []
    for vector in among:
        if len(vector.data) == len(asked):
            near = sum(map(operator.mul, question, _numbers(vector.data)))
            if near >= _LEAST:
                found.append((-near, -vector.item_key))
    return [-key for _, key in sorted(found)[:limit]]


def _numbers(data: bytes) -> "array.array[float]":
    numbers = array.array("f")
    numbers.frombytes(data)
    return _little(numbers)
