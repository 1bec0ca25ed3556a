"""What memory gives back."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["FoundBy", "Recalled", "Remembered"]

FoundBy = Literal["words", "meaning", "both"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A message that can be recalled. ``thread_id`` is as it is stored, ``created_at`` in unix
    milliseconds."""

    item_id: str
    thread_id: str
    role: str
    text: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """A message that was found. ``score``: higher is nearer; only its order within one search
    says anything."""

    item_id: str
    thread_id: str
    role: str
    text: str
    created_at: int
    score: float
    found_by: FoundBy
