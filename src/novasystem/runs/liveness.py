"""Which executors are alive: by the beat that each shows, and by their process where we see it."""

import functools
import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.storage.ids import now_ms
from novasystem.storage.tables import executors

__all__ = ["SILENT_S", "beat", "bury", "dead", "gone", "leave", "register"]

SILENT_S = 20.0
"""How long an executor may show no beat before it is taken for dead, on our own clock."""


@functools.cache
def place() -> str:
    """What tells apart machines and containers: within one, a process id says who is alive."""
    parts = [socket.gethostname()]
    for file in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(file)
        try:
            parts.append(os.readlink(path) if path.is_symlink() else path.read_text().strip())
        except OSError:
            parts.append("")
    return ":".join(parts)[:250]


def register(connection: Connection, executor: str, *, alone: bool) -> None:
    """``alone``: no other process can be there, so that whoever is registered is dead."""
    if alone:
        connection.execute(sa.delete(executors))
    else:
        bury(connection, None, gone(connection))
    row = {"id": executor, "pid": os.getpid(), "place": place(), "started_at": now_ms(), "beat": 0}
    connection.execute(sa.insert(executors), row)


def leave(connection: Connection, executor: str) -> None:
    connection.execute(sa.delete(executors).where(executors.c.id == executor))


def beat(connection: Connection, executor: str) -> dict[str, int] | None:
    """Show that ``executor`` lives; the beats of all, or ``None`` where it was declared dead."""
    alive = connection.execute(
        sa.update(executors).where(executors.c.id == executor).values(beat=executors.c.beat + 1)
    )
    if alive.rowcount != 1:
        return None
    rows = connection.execute(sa.select(executors.c.id, executors.c.beat))
    return {row.id: row.beat for row in rows}


def gone(connection: Connection) -> list[str]:
    """Executors of this machine whose process is not there any more."""
    rows = connection.execute(
        sa.select(executors.c.id, executors.c.pid).where(executors.c.place == place())
    )
    return [row.id for row in rows if not _is_process(row.pid)]


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def dead(
    beats: Mapping[str, int], seen: dict[str, tuple[int, float]], own: str, now_s: float
) -> set[str]:
    """Those whose beat has stood still for too long; ``seen`` is kept between the calls."""
    for executor in set(seen) - set(beats):
        del seen[executor]
    silent: set[str] = set()
    for executor, beat in beats.items():
        known = seen.get(executor)
        if known is None or known[0] != beat:
            seen[executor] = (beat, now_s)
        elif executor != own and now_s - known[1] >= SILENT_S:
            silent.add(executor)
    return silent


def bury(connection: Connection, beats: Mapping[str, int] | None, dead: Collection[str]) -> None:
    """Take them off the list, unless they have shown a beat meanwhile."""
    for executor in dead:
        wanted = sa.delete(executors).where(executors.c.id == executor)
        if beats is not None and executor in beats:
            wanted = wanted.where(executors.c.beat == beats[executor])
        connection.execute(wanted)
