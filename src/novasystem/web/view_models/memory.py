"""What the page of what is remembered shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from novasystem.nova.memory import Recalled, Remembered
from novasystem.web.view_models.words import Moment

__all__ = ["MemoryPage"]


@dataclass(frozen=True, slots=True)
class MemoryRow:
    id: str
    text: str
    who: str
    at: Moment
    session: str
    found: str


@dataclass(frozen=True, slots=True)
class MemoryPage:
    rows: tuple[MemoryRow, ...]
    query: str
    more_after: str

    @classmethod
    def of(
        cls, found: Sequence[Remembered | Recalled], query: str, more_after: str
    ) -> "MemoryPage":
        return cls(tuple(map(_remembered, found)), query, more_after)


def _remembered(item: Remembered | Recalled) -> MemoryRow:
    found = ""
    if isinstance(item, Recalled):
        by = {"words": "its words", "meaning": "its meaning", "both": "words and meaning"}
        found = f"found by {by.get(item.found_by, item.found_by)}"
    return MemoryRow(
        id=item.item_id,
        text=item.text,
        who="You" if item.role == "user" else "Nova",
        at=Moment.of_ms(item.created_at),
        session=str(UUID(item.thread_id)),
        found=found,
    )
