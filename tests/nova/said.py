"""What was said, put where a door would have put it."""

import uuid

from sqlalchemy.engine import Connection

from novasystem.runs import store as run_store
from novasystem.runs.records import NewRun
from novasystem.threads import store
from novasystem.threads.records import Item, NewItem

__all__ = ["said"]


def said(
    connection: Connection,
    owner_id: str,
    texts: list[str],
    *,
    thread_id: str | None = None,
    kind: str = "chat",
    assistant_id: str | None = None,
) -> list[Item]:
    """A run in a thread: its first text is the user's, those after it are answers."""
    thread = store.create(connection, thread_id or uuid.uuid4().hex, owner_id)
    asked = NewRun(
        kind, owner_id, {}, thread_key=thread.key, thread_id=thread.id, assistant_id=assistant_id
    )
    run = run_store.insert(connection, asked)
    end = ("status", {"status": "completed"}, run.created_at)
    changes = {"status": "completed", "ended_at": run.created_at, "last_seq": 1}
    run_store.close(connection, run, 1, [end], "completed", run.created_at, **changes)
    new = [
        NewItem(
            "message",
            text,
            role="assistant" if number else "user",
            run_id=run.id,
            assistant_id=assistant_id if number else None,
        )
        for number, text in enumerate(texts)
    ]
    return store.add(connection, thread.key, new)
