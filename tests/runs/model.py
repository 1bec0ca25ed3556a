"""What the database should hold, in plain Python, and the parts that the machine works with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import StorageUnavailable
from novasystem.runs import store
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.feed import Feed
from novasystem.runs.joined import Change
from novasystem.runs.journal import Journal
from novasystem.runs.records import Outcome, Run
from novasystem.runs.state import ENDED, RunStatus
from novasystem.runs.store import Raw
from novasystem.storage.database import Database
from novasystem.storage.tables import executors, items, run_events, run_steps
from novasystem.storage.tables import runs as runs_table
from novasystem.storage.tables import threads as threads_table
from novasystem.threads import store as threads
from novasystem.threads.records import NewItem

SOON_S = 60.0
LATER_MS = 10**13
LETTERS = "abcd"


async def _execute(_context: RunContext) -> Outcome:
    raise AssertionError("the test carries runs out itself")


def settle(connection: Connection, run: Run, status: RunStatus) -> Sequence[Raw]:
    return [("settled", {"status": status, "of": run.id}, 0)]


def add_said(thread_key: int, item: str) -> Change:
    new = NewItem("message", "said", role="assistant", id=item)

    def write(connection: Connection) -> None:
        threads.add(connection, thread_key, [new])

    return Change(write, [threads.added_to_held(new, 0)[0]], frozenset({item}), adds=True)


KINDS = {"resumes": Kind(_execute, settle, resumes=True), "fails": Kind(_execute, settle)}


class ByHand(Journal):
    """Writes when it is told to, and never by itself."""

    def wake(self, context: RunContext) -> None:
        self._waiting[context] = None


class Breaking(Database):
    """Answers the next write with an error, before it is made or after."""

    breaks: str | None = None

    def write_now(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        how, self.breaks = self.breaks, None
        if how == "before":
            raise StorageUnavailable("not written")
        result = super().write_now(work, *args, **kwargs)
        if how == "after":
            raise StorageUnavailable("written, and the answer got lost")
        return result


@dataclass
class ThreadModel:
    key: int
    active: str | None = None
    items: list[str] = field(default_factory=list)
    added: int = 0


@dataclass
class RunModel:
    run: Run
    kind: str
    thread: str | None
    status: RunStatus
    executor: str | None
    fence: int
    expires: bool
    interruptions: int = 0
    log: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Said:
    """An event that a context has emitted: its text, and the item that is written with it."""

    text: str
    item: str | None


@dataclass
class ContextModel:
    context: RunContext
    feed: Feed
    executor: str
    run_id: str
    fence: int
    waiting: list[Said] = field(default_factory=list)
    unsure: list[Said] = field(default_factory=list)
    """Tried before; ``unsure_written``: and it is in the database."""
    unsure_written: bool = False
    lost: bool = False
    over: bool = False


@dataclass
class Model:
    """``alive``: the executors that are registered."""

    threads: dict[str, ThreadModel] = field(default_factory=dict)
    runs: dict[str, RunModel] = field(default_factory=dict)
    contexts: list[ContextModel] = field(default_factory=list)
    alive: list[str] = field(default_factory=list)

    def runs_of(self, thread_id: str) -> set[str]:
        return {run_id for run_id, run in self.runs.items() if run.thread == thread_id}

    def having(self, *statuses: RunStatus) -> list[RunModel]:
        return [run for run in self.runs.values() if run.status in statuses]

    def usable(self) -> list[ContextModel]:
        return [context for context in self.contexts if not context.over]

    def zombies(self) -> list[ContextModel]:
        """Contexts that have lost their lease, and that nobody has told so."""
        return [context for context in self.usable() if not self.holds(context)]

    def orphans(self) -> list[tuple[str, str | None]]:
        """Runs of the dead, each with its executor."""
        held = [(run_id, run.executor) for run_id, run in self.runs.items() if run.executor]
        return [(run_id, executor) for run_id, executor in held if executor not in self.alive]

    def working(self) -> list[str]:
        """The executors that are alive and carry something out."""
        return [name for name in self.alive if any(r.executor == name for r in self.runs.values())]

    def due(self) -> set[str]:
        waiting = self.having("queued", "requires_action")
        return {run.run.id for run in waiting if run.expires}

    def holds(self, context: ContextModel) -> bool:
        run = self.runs.get(context.run_id)
        return run is not None and run.executor == context.executor and run.fence == context.fence


def compare(connection: Connection, model: Model) -> None:
    """Raises where the database is not as the model says."""

    def rows(*columns: Any, order: Any = None) -> list[Any]:
        return list(connection.execute(sa.select(*columns).order_by(order)))

    t, r, i, e = threads_table.c, runs_table.c, items.c, run_events.c
    assert {row.id: (row.active_run, row.last_position) for row in rows(t.id, *t)} == {
        letter: (thread.active, thread.added) for letter, thread in model.threads.items()
    }
    held: dict[int, list[str]] = {thread.key: [] for thread in model.threads.values()}
    for row in rows(i.thread_key, i.id, order=i.position):
        held[row.thread_key].append(row.id)
    assert held == {thread.key: thread.items for thread in model.threads.values()}
    stored = {row.id: row for row in rows(*r)}
    assert set(stored) == set(model.runs)
    logs: dict[int, list[tuple[str, str]]] = {}
    for key in {row.run_key for row in rows(e.run_key)}:
        log = store.events_after(connection, key, 0)
        assert [event.seq for event in log] == list(range(1, len(log) + 1))
        logs[key] = [
            (event.type, event.data["status" if event.type != "text" else "text"]) for event in log
        ]
    active: dict[int, int] = {}
    for run_id, known in model.runs.items():
        row = stored[run_id]
        found = (row.status, row.executor, row.fence, row.interruptions)
        assert found == (known.status, known.executor, known.fence, known.interruptions)
        assert logs.pop(row.key) == known.log
        assert row.last_seq == len(known.log)
        ends = [n for n, (_, said) in enumerate(known.log, 1) if said in ENDED]
        assert (row.status in ENDED) == (row.ended_at is not None) == bool(ends)
        assert row.status not in ENDED or known.log[-1] == ("status", row.status)
        if row.status not in ENDED and row.thread_key is not None:
            active[row.thread_key] = active.get(row.thread_key, 0) + 1
    assert logs == {}
    assert all(count == 1 for count in active.values())
    for context in model.contexts:
        if model.holds(context):
            # Nobody is told that something is stored before it is.
            assert context.feed.committed <= stored[context.run_id].last_seq
    registered = {row.id for row in rows(executors.c.id)}
    assert registered == set(model.alive)
    assert not rows(run_steps.c.id)
