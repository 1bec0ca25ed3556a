"""What is kept of a turn that was cut short: what it had said, marked as incomplete."""

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from novasystem.runs import store as run_store
from novasystem.runs.records import Event, Run, StepStatus
from novasystem.runs.state import RunStatus
from novasystem.runs.store import Raw
from novasystem.storage.ids import now_ms
from novasystem.threads import store
from novasystem.turns.fitting import estimate

__all__ = ["settle", "spoken"]

_WHY: dict[RunStatus, str] = {
    "cancelled": "run_cancelled",
    "failed": "run_failed",
    "expired": "run_expired",
}
_STEP: dict[RunStatus, StepStatus] = {
    "cancelled": "cancelled",
    "failed": "failed",
    "expired": "expired",
}


def spoken(events: Sequence[Event]) -> tuple[str | None, str | None, str]:
    """The last message of ``events``: its text, and its item and step where it is still open."""
    item_id: str | None = None
    step_id: str | None = None
    text: list[str] = []
    for event in events:
        if event.type == "message_begun":
            item_id, step_id = event.data["item_id"], event.data["step_id"]
            text = []
        elif event.type == "text":
            text.append(event.data["text"])
        elif event.type == "restarted":
            text = []
        elif event.type == "message_ended":
            item_id = step_id = None
    return item_id, step_id, "".join(text)


def settle(connection: Connection, run: Run, status: RunStatus) -> Sequence[Raw]:
    """Keep what a turn that was cut short had said, marked as incomplete."""
    events = run_store.events_after(connection, run.key, 0)
    item_id, step_id, text = spoken(events)
    if item_id is None or step_id is None:
        return []
    why, at_ms = _WHY[status], now_ms()
    tokens = estimate(text)
    store.end_item(
        connection, item_id, text, token_count=tokens, incomplete_reason=why, ended_at=at_ms
    )
    run_store.end_step(connection, step_id, _STEP[status], ended_at=at_ms)
    ended = {"item_id": item_id, "step_id": step_id, "text": text, "reason": why, "usage": None}
    return [("message_ended", {**ended, "tokens": tokens, "exact": False}, at_ms)]
