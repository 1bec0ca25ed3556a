"""Which part of a thread a model is shown. Pure: items in, items out, and what was left out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from novasystem.threads.records import Item

__all__ = ["Fitted", "estimate", "fewer", "fit"]

_BYTES_PER_TOKEN = 3.0
PER_MESSAGE = 8
"""Tokens that a chat template puts around a message: more than any known one does."""


def estimate(text: str) -> int:
    """Tokens of ``text`` where nobody can count them: rather too many than too few."""
    return math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Fitted:
    """``items``: what is shown, oldest first. ``left_out``: how many older ones are not.

    ``tokens``: of what is shown, the template's own included; ``exact``: whether each was counted
    by the engine.
    """

    items: tuple[Item, ...]
    left_out: int
    tokens: int
    exact: bool


def fit(
    items: Sequence[Item], budget: int | None = None, last_messages: int | None = None
) -> Fitted:
    """The newest items that fit into ``budget`` tokens, of at most ``last_messages`` messages.

    A call is never shown without its results, nor they without it. The newest unit is always
    shown: whether it fits is for the engine to say.
    """
    shown: list[list[Item]] = []
    tokens = messages = 0
    for unit in reversed(_units(items)):
        cost = sum(map(_cost, unit))
        count = sum(item.kind == "message" for item in unit)
        full = budget is not None and tokens + cost > budget
        if shown and (full or (last_messages is not None and messages + count > last_messages)):
            break
        shown.append(unit)
        tokens += cost
        messages += count
    kept = tuple(item for unit in reversed(shown) for item in unit)
    exact = all(item.token_count_exact for item in kept)
    return Fitted(kept, len(items) - len(kept), tokens, exact)


def fewer(fitted: Fitted, units: int) -> Fitted | None:
    """Without its ``units`` oldest units; ``None`` where no more than the newest is left."""
    kept = _units(fitted.items)
    gone = min(units, len(kept) - 1)
    if gone <= 0:
        return None
    items = tuple(item for unit in kept[gone:] for item in unit)
    return Fitted(
        items,
        fitted.left_out + len(fitted.items) - len(items),
        sum(map(_cost, items)),
        all(item.token_count_exact for item in items),
    )


def _units(items: Sequence[Item]) -> list[list[Item]]:
    """Messages alone; calls and results that follow each other together."""
    units: list[list[Item]] = []
    for item in items:
        if item.kind != "message" and units and units[-1][0].kind != "message":
            units[-1].append(item)
        else:
            units.append([item])
    return units


def _cost(item: Item) -> int:
    known = item.token_count
    return PER_MESSAGE + (estimate(item.content) if known is None else known)
