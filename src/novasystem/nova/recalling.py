"""What of an owner's memory an ask is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from novasystem.nova.entries import Entry
from novasystem.nova.memory import Memory, Recalled
from novasystem.nova.mode import tells
from novasystem.threads.records import Item

__all__ = ["recall", "remembering"]

_RECALLED = 5
_LOOKED_AT = 25
_SMALL_WINDOW = 4096


async def recall(
    memory: Memory, owner_id: str, question: str, known: Sequence[Item], window: int | None
) -> list[dict[str, Any]]:
    """What memory finds for ``question`` beside the items that are ``known``, less what would only
    mislead.

    What was asked earlier tells nothing. A small model takes the answers to other questions for
    its own: where the ``window`` has few tokens, only what the user told is left.
    """
    keys = [item.key for item in known]
    found = await memory.recall(owner_id, question, besides=keys, limit=_LOOKED_AT)
    small = window is not None and window < _SMALL_WINDOW
    # Said twice, it is shown once.
    shown = {
        one.text: one
        for one in reversed(found)
        if (tells(one.text) if one.role == "user" else not small)
    }
    return [_shown(one) for one in reversed(shown.values())][:_RECALLED]


def _shown(found: Recalled) -> dict[str, Any]:
    shown = asdict(found)
    shown["session_id"] = str(UUID(shown.pop("thread_id")))
    shown["created_at"] /= 1000
    return shown


def remembering(recalled: Sequence[Mapping[str, Any]]) -> Entry:
    """Memory as an agent of the chain."""
    return Entry(
        step_id="memory",
        agent="memory",
        purpose="Finds what was said earlier",
        text="\n".join(f"{one['role']}: {one['text']}" for one in recalled),
        model=None,
        prompt_tokens=0,
        completion_tokens=0,
        recalled=tuple(recalled),
    )
