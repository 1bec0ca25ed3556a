"""Messages and steps as they are when they begin, out of the event that says so."""

from collections.abc import Mapping
from typing import Any

from novasystem.runs.records import Event, Run, Step
from novasystem.threads.records import Item

__all__ = ["begun_message", "begun_step"]


def begun_message(run: Run, event: Event) -> Item:
    """As its row is, less the numbers that the database gives it."""
    return Item(
        key=0,
        id=event.data["item_id"],
        thread_key=run.thread_key or 0,
        position=0,
        kind="message",
        role="assistant",
        content="",
        status="in_progress",
        incomplete_reason=None,
        created_at=event.at_ms,
        completed_at=None,
        incomplete_at=None,
        token_count=None,
        token_count_exact=False,
        run_id=run.id,
        assistant_id=run.assistant_id,
        call_id=None,
        name=None,
        attachments=None,
        metadata={},
    )


def begun_step(run: Run, event: Event, kind: str, details: Mapping[str, Any]) -> Step:
    """As its row is, less the number that the database gives it."""
    return Step(
        key=0,
        id=event.data["step_id"],
        run_key=run.key,
        name=None,
        type=kind,
        status="in_progress",
        details=details,
        error=None,
        usage=None,
        created_at=event.at_ms,
        ended_at=None,
    )
