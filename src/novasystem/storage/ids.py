"""Ids and times as they are stored."""

import secrets
import time

__all__ = ["new_id", "now_ms"]


def new_id(prefix: str) -> str:
    """``prefix_`` and 96 random bits: nobody can guess another one's."""
    return f"{prefix}_{secrets.token_hex(12)}"


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
