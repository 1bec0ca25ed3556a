"""The statuses of a run, and which may follow which. Pure: no clock, no database."""

from typing import Literal

from novasystem.errors import IllegalTransition

__all__ = ["ACTIVE", "ENDED", "TRANSITIONS", "RunStatus", "check"]

RunStatus = Literal[
    "queued",
    "in_progress",
    "requires_action",
    "cancelling",
    "cancelled",
    "completed",
    "failed",
    "incomplete",
    "expired",
]

TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    "queued": frozenset({"in_progress", "cancelled", "failed", "expired"}),
    # Back to the queue where its executor died or stopped, and another one carries it on.
    "in_progress": frozenset(
        {"requires_action", "cancelling", "completed", "incomplete", "failed", "expired", "queued"}
    ),
    "requires_action": frozenset({"queued", "cancelled", "failed", "expired"}),
    # A cancel that came first wins over whatever the run ends in.
    "cancelling": frozenset({"cancelled"}),
    "cancelled": frozenset(),
    "completed": frozenset(),
    "failed": frozenset(),
    "incomplete": frozenset(),
    "expired": frozenset(),
}

ENDED: frozenset[RunStatus] = frozenset(s for s, after in TRANSITIONS.items() if not after)
ACTIVE: frozenset[RunStatus] = frozenset(TRANSITIONS) - ENDED
"""A run in one of these holds its thread."""


def check(run_id: str, before: RunStatus, after: RunStatus) -> None:
    """Raises ``IllegalTransition`` where ``after`` may not follow ``before``."""
    if after not in TRANSITIONS[before]:
        raise IllegalTransition(run_id, before, after)
