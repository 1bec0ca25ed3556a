"""Decides by a hash of the content what training may never see.

A tenth of all number pairs, names, cities, made-up words, phrases and larger numbers belongs to
the evaluation. The hash needs no list and no state: training and evaluation cannot drift apart.
"""

from __future__ import annotations

import hashlib

HELD_OUT_SHARE = 10


def is_held_out(value: str) -> bool:
    """True for the tenth of all values that only the evaluation draws."""
    digest = hashlib.blake2b(value.casefold().encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % HELD_OUT_SHARE == 0


def is_pair_held_out(first: int, second: int) -> bool:
    """Like `is_held_out` for two numbers; 3 + 4 and 4 + 3 share their fate.

    Sums of two single digits are never held out: they are the table that column addition uses.
    """
    if first < 10 and second < 10:
        return False
    low, high = sorted((first, second))
    return is_held_out(f"pair {low} {high}")
