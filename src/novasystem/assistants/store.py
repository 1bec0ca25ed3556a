"""The SQL of assistants. Each function works in the transaction of its connection."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.assistants.records import Assistant
from novasystem.runs import statements
from novasystem.runs.records import Run
from novasystem.storage.ids import new_id, now_ms
from novasystem.storage.paging import paged
from novasystem.storage.tables import assistants, runs

__all__ = ["create", "delete", "find", "list_assistants", "list_runs", "update"]


def create(connection: Connection, owner_id: str, values: dict[str, Any]) -> Assistant:
    """``values``: those of the columns that a request gives."""
    absent = dict.fromkeys(
        ("name", "description", "instructions", "tool_resources", "temperature", "top_p")
    )
    row: dict[str, Any] = {
        "id": new_id("asst"),
        "owner_id": owner_id,
        "created_at": now_ms(),
        "tools": [],
        "metadata": {},
        "response_format": None,
        **absent,
        **values,
    }
    key = connection.execute(sa.insert(assistants).returning(assistants.c.key), row).scalar_one()
    return Assistant(key=key, **row)


def find(connection: Connection, assistant_id: str, owner_id: str) -> Assistant | None:
    """The owner's assistant; another owner's is not there."""
    asked = sa.select(assistants).where(
        assistants.c.id == assistant_id, assistants.c.owner_id == owner_id
    )
    row = connection.execute(asked).mappings().one_or_none()
    return None if row is None else Assistant(**row)


def list_assistants(
    connection: Connection,
    owner_id: str,
    *,
    limit: int,
    ascending: bool = False,
    after: str | None = None,
    before: str | None = None,
) -> list[Assistant]:
    """In the order of their creation; ``after`` and ``before`` are ids."""
    asked = sa.select(assistants).where(assistants.c.owner_id == owner_id)
    asked = paged(asked, assistants, limit=limit, ascending=ascending, after=after, before=before)
    return [Assistant(**row) for row in connection.execute(asked).mappings()]


def list_runs(connection: Connection, owner_id: str, assistant_id: str, limit: int) -> list[Run]:
    """The newest ``limit`` runs of an assistant, the newest first."""
    asked = (
        statements.RUN.where(runs.c.owner_id == owner_id, runs.c.assistant_id == assistant_id)
        .order_by(runs.c.key.desc())
        .limit(limit)
    )
    return [Run(**row) for row in connection.execute(asked).mappings()]


def update(connection: Connection, key: int, values: dict[str, Any]) -> None:
    if values:
        connection.execute(sa.update(assistants).where(assistants.c.key == key).values(**values))


def delete(connection: Connection, key: int) -> None:
    connection.execute(sa.delete(assistants).where(assistants.c.key == key))
