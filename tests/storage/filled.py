"""Databases with something in them, and what they hold, whatever the numbers of its rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.benchmarks.stores import sql_writes
from novasystem.benchmarks.stores.facts import Head
from novasystem.storage.backup import back_up
from novasystem.storage.database import Database, database_url
from novasystem.storage.migrate import upgrade
from novasystem.storage.portable import BackupWriter, Manifest
from novasystem.storage.tables import (
    assistants,
    benchmark_samples,
    benchmarks,
    executors,
    items,
    metadata,
    run_events,
    run_steps,
    runs,
    threads,
)

__all__ = ["KINDS", "contents", "fill", "opened", "written"]

KINDS = ("sqlite", "postgresql")
ODD = 'a\0b "quoted" \\ \r\n\u2028 é 🦜 ' + "x" * 3000
STATUSES = ("queued", "in_progress", "requires_action", "cancelling", "completed", "failed")


@contextmanager
def opened(url: str | None, folder: Path, *, empty: bool = False) -> Iterator[Database]:
    """A database with our schema, unless it is to be left ``empty``."""
    folder.mkdir(exist_ok=True)
    database = Database(database_url(url, folder))
    try:
        if not empty:
            upgrade(database, folder / "backups")
        yield database
    finally:
        database.close()


def written(database: Database, path: Path) -> Manifest:
    """A backup of all of it."""
    with BackupWriter(path) as writer:
        return database.read_now(back_up, writer)


def fill(connection: Connection, name: str = "a", count: int = 3) -> None:
    """``count`` threads of the owner ``name``, each with a run of every status, and more."""
    added = connection.execute(
        sa.insert(assistants).returning(assistants.c.key),
        {
            "id": f"asst_{name}",
            "owner_id": name,
            "created_at": 1,
            "model": ODD,
            "tools": [{"type": "function", "name": ODD}],
            "metadata": {},
            "temperature": 0.1,
            "top_p": 1,
        },
    ).scalar_one()
    # What is deleted leaves a gap in the keys.
    connection.execute(sa.delete(assistants).where(assistants.c.key == added + 1))
    for number in range(count):
        _thread(connection, name, number)
        _benchmark(connection, name, number)


def _thread(connection: Connection, name: str, number: int) -> None:
    row: dict[str, Any] = {"id": f"{name}{number}", "owner_id": name, "created_at": 2**41}
    row |= {"updated_at": 2**41, "metadata": {"n": str(number)}, "last_position": 2}
    thread = connection.execute(sa.insert(threads).returning(threads.c.key), row).scalar_one()
    for position, exact in ((1, True), (2, False)):
        said = {"id": f"msg_{name}{number}_{position}", "thread_key": thread, "kind": "message"}
        said |= {"position": position, "content": f"{ODD} {number}", "status": "completed"}
        said |= {"created_at": 3, "token_count_exact": exact, "metadata": {}, "role": "user"}
        connection.execute(sa.insert(items), said)
    for status in STATUSES:
        run_id = f"run_{name}{number}_{status}"
        run = {"id": run_id, "owner_id": name, "thread_key": thread, "kind": "chat", "lane": ""}
        run |= {"status": status, "request": {"model": "m"}, "metadata": {}, "created_at": 4}
        run |= {"fence": 1, "interruptions": 0, "last_seq": 2}
        if status in {"in_progress", "cancelling"}:
            run["executor"] = "exec_then"
            connection.execute(
                sa.update(threads).where(threads.c.key == thread).values(active_run=run_id)
            )
        key = connection.execute(sa.insert(runs).returning(runs.c.key), run).scalar_one()
        step = {"id": f"step_{run_id}", "run_key": key, "type": "message", "details": [ODD]}
        connection.execute(sa.insert(run_steps), {**step, "status": "completed", "created_at": 5})
        connection.execute(
            sa.insert(run_events),
            {"run_key": key, "first_seq": 1, "last_seq": 2, "events": bytes(range(256))},
        )
    connection.execute(
        sa.insert(executors),
        {"id": f"exec_{name}{number}", "pid": 1, "place": "here", "started_at": 1, "beat": 0},
    )


def _benchmark(connection: Connection, name: str, number: int) -> None:
    models, words = frozenset({ODD}), frozenset({"x", f"number{number}"})
    bench_id = f"bench_{name}{number}"
    head = Head(bench_id, 2**50 + number, "completed", False, models, words, 0.1, None, 1)
    sql_writes.put(connection, name, head, b"{}", bytes(range(256)))
    key = connection.scalar(sa.select(benchmarks.c.key).where(benchmarks.c.id == bench_id))
    piece = {"benchmark_key": key, "seq": 0, "samples": 1, "data": bytes(range(256))}
    connection.execute(sa.insert(benchmark_samples), piece)


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """All rows in the order of their keys; a key is shown as the id of the row that it names."""
    names: dict[str, dict[int, str]] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    for table in metadata.sorted_tables:
        if table is executors:
            continue
        rows = []
        for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings():
            shown = dict(row)
            for column in table.columns:
                for reference in column.foreign_keys:
                    if shown[column.name] is not None:
                        target = reference.column.table.name
                        shown[column.name] = names[target][shown[column.name]]
            if "key" in shown:
                names.setdefault(table.name, {})[shown.pop("key")] = shown["id"]
            rows.append(shown)
        found[table.name] = rows
    return found
