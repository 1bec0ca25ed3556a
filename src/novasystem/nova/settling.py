"""What is left of an ask that did not end by itself: cancelled, failed, or given up."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from novasystem.nova.entries import Entry, EntryStatus
from novasystem.nova.metrics import metrics
from novasystem.nova.progress import Opened, Progress, shown_tool
from novasystem.runs import store as run_store
from novasystem.runs.records import Run
from novasystem.runs.state import RunStatus
from novasystem.runs.store import Raw
from novasystem.storage.ids import now_ms
from novasystem.threads import store
from novasystem.threads.records import NewItem
from novasystem.turns.fitting import estimate

__all__ = ["settle"]

_ANSWERING = ("close", "single")
_WHY: dict[RunStatus, str] = {
    "cancelled": "run_cancelled",
    "failed": "run_failed",
    "expired": "run_expired",
}


def settle(connection: Connection, run: Run, status: RunStatus) -> Sequence[Raw]:
    """Open steps become entries of the chain, with what was said; so does the open answer become
    an item of the session, marked as incomplete."""
    progress = Progress.of(run_store.events_after(connection, run.key, 0))
    if progress.begun is None or progress.answered is not None:
        return []
    at_ms = now_ms()
    ended: EntryStatus = "cancelled" if status == "cancelled" else "failed"
    told: list[Raw] = []
    for step_id, opened in progress.open.items():
        entry = _entry(progress, step_id, opened, ended, at_ms)
        progress.entries[step_id] = entry
        told.append(("step_done", {"entry": entry.shown()}, at_ms))
    answer = next((e for id_, e in progress.entries.items() if id_ in _ANSWERING), None)
    text = "" if answer is None else answer.text
    if text and run.thread_key is not None:
        item = NewItem(
            "message",
            text,
            role="assistant",
            status="incomplete",
            incomplete_reason=_WHY[status],
            run_id=run.id,
            token_count=estimate(text),
        )
        store.add(connection, run.thread_key, [item])
    figures = metrics(
        progress.entries.values(),
        total_s=progress.elapsed_s,
        ttft_s=progress.ttft_s,
        cpu_percent=None,
        memory_mb=None,
        measured=None,
    )
    said: dict[str, Any] = {"text": text, "status": ended, "limits_reached": []}
    return [*told, ("answered", {**said, "metrics": figures}, at_ms)]


def _entry(
    progress: Progress, step_id: str, opened: Opened, status: EntryStatus, at_ms: int
) -> Entry:
    begun = opened.begun
    tools = progress.tools.get(step_id, {}).values()
    return Entry(
        step_id=step_id,
        agent=begun["agent"],
        purpose=begun["purpose"],
        text="".join(opened.text),
        model=begun["model"],
        round=begun["round"],
        seconds=round((at_ms - opened.at_ms) / 1000, 4),
        status=status,
        number=begun.get("number"),
        title=begun["title"],
        depends_on=begun["depends_on"] or None,
        tools=tuple(shown_tool(one) for one in tools),
    )
