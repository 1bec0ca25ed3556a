"""Threads and runs against a model in plain Python, through whatever order of steps.

The steps are the kernel's own transactions on a real database, made by executors that the test
moves by hand: so one can be killed at any point, and go on writing as a zombie.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.engine import URL, Connection

from novasystem.errors import FencedOut, IllegalTransition, StorageUnavailable, ThreadBusy
from novasystem.runs import liveness, pending, store, transactions
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.feed import Feed
from novasystem.runs.journal import Journal, write_one
from novasystem.runs.records import NewRun, Outcome, Run
from novasystem.runs.state import ENDED, RunStatus
from novasystem.runs.store import Raw
from novasystem.runs.transactions import MAX_INTERRUPTIONS, Ending
from novasystem.storage.database import Database, database_url
from novasystem.storage.tables import executors, items, run_events, run_steps
from novasystem.storage.tables import runs as runs_table
from novasystem.storage.tables import threads as threads_table
from novasystem.threads import store as threads
from novasystem.threads.records import NewItem
from tests.http.figures import State
from tests.storage.databases import empty, make_schema

SOON_S = 60.0
LATER_MS = 10**13
LETTERS = "abcd"
picks = st.integers(min_value=0, max_value=10**6)


async def _execute(_context: RunContext) -> Outcome:
    raise AssertionError("the test carries runs out itself")


def _settle(connection: Connection, run: Run, status: RunStatus) -> Sequence[Raw]:
    return [("settled", {"status": status, "of": run.id}, 0)]


KINDS = {"resumes": Kind(_execute, _settle, resumes=True), "fails": Kind(_execute, _settle)}


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


class Machine(RuleBasedStateMachine):
    database: Breaking
    runner: asyncio.Runner
    steps = 0

    @initialize()
    def begin_anew(self) -> None:
        empty(self.database)
        self.database.breaks = None
        self.threads: dict[str, ThreadModel] = {}
        self.runs: dict[str, RunModel] = {}
        self.contexts: list[ContextModel] = []
        self.journals: dict[str, ByHand] = {}
        self.alive: list[str] = []
        self.numbers = itertools.count(1)
        for _ in range(2):
            self._new_executor()

    def _new_executor(self) -> None:
        name = f"exec_{next(self.numbers)}"
        self.database.write_now(liveness.register, name, alone=False)
        self.journals[name] = ByHand(self.database, lambda _context, _error: None)
        self.alive.append(name)

    # Threads

    @rule(letter=st.sampled_from(LETTERS))
    def create_thread(self, letter: str) -> None:
        made = self.database.write_now(threads.create, letter, "local")
        known = self.threads.setdefault(letter, ThreadModel(made.key))
        assert (made.key, made.active_run) == (known.key, known.active)

    @rule(letter=st.sampled_from(LETTERS))
    def delete_thread(self, letter: str) -> None:
        known = self.threads.pop(letter, None)
        if known is None:
            return
        gone = self.database.write_now(threads.delete, known.key)
        assert set(gone) == {run_id for run_id, run in self.runs.items() if run.thread == letter}
        for run_id in gone:
            del self.runs[run_id]

    @rule(letter=st.sampled_from(LETTERS), count=st.integers(1, 3))
    def add_items(self, letter: str, count: int) -> None:
        thread = self.threads.get(letter)
        if thread is None:
            return
        new = [NewItem("message", "x", role="user") for _ in range(count)]
        added = self.database.write_now(threads.add, thread.key, new)
        thread.items += [item.id for item in added]
        thread.added += count
        assert [item.position for item in added] == list(
            range(thread.added - count + 1, thread.added + 1)
        )

    # Runs

    @rule(
        letter=st.sampled_from([*LETTERS, None]),
        kind=st.sampled_from(sorted(KINDS)),
        here=st.booleans(),
        expires=st.booleans(),
        pick=picks,
    )
    def start(self, letter: str | None, kind: str, here: bool, expires: bool, pick: int) -> None:
        thread = None if letter is None else self.threads.get(letter)
        if letter is not None and thread is None:
            return
        executor = self.alive[pick % len(self.alive)] if here else None
        new = NewRun(
            kind,
            "local",
            {},
            thread_key=None if thread is None else thread.key,
            thread_id=letter,
            expires_in_s=SOON_S if expires else None,
        )

        def write(connection: Connection, run: Run) -> Sequence[Raw]:
            if run.thread_key is not None:
                asked = NewItem("message", "asked", role="user", id=f"asked_{run.id}")
                threads.add(connection, run.thread_key, [asked])
            return []

        try:
            run = self.database.write_now(transactions.begin, lambda _: new, executor, write)
        except ThreadBusy as error:
            assert thread is not None
            assert error.run_id == thread.active
            return
        assert thread is None or thread.active is None
        log = [("status", "queued")] + ([("status", "in_progress")] if here else [])
        status: RunStatus = "in_progress" if here else "queued"
        self.runs[run.id] = RunModel(
            run, kind, letter, status, executor, int(here), expires, log=log
        )
        if thread is not None:
            thread.active = run.id
            thread.items.append(f"asked_{run.id}")
            thread.added += 1
        if executor is not None:
            self._leased(run, executor)

    def _leased(self, run: Run, executor: str) -> None:
        assert run.executor == executor
        feed = Feed(run.last_seq)
        context = RunContext(run, feed, self.journals[executor], self.database)
        self.contexts.append(ContextModel(context, feed, executor, run.id, run.fence))

    @rule(pick=picks, limit=st.integers(1, 3))
    def claim(self, pick: int, limit: int) -> None:
        executor = self.alive[pick % len(self.alive)]
        claimed = self.database.write_now(transactions.claim, executor, limit=limit, full=[])
        queued = [run_id for run_id, run in self.runs.items() if run.status == "queued"]
        assert [run.id for run in claimed] == queued[:limit]
        for run in claimed:
            known = self.runs[run.id]
            known.status, known.executor = "in_progress", executor
            known.fence += 1
            known.log.append(("status", "in_progress"))
            assert run.fence == known.fence
            self._leased(run, executor)

    def _context(self, pick: int) -> ContextModel | None:
        usable = [context for context in self.contexts if not context.over]
        return usable[pick % len(usable)] if usable else None

    def _holds(self, context: ContextModel) -> bool:
        run = self.runs.get(context.run_id)
        return (
            run is not None and run.executor == context.executor and run.fence == context.fence
        )

    @precondition(lambda self: self.contexts)
    @rule(pick=picks, count=st.integers(1, 3), with_item=st.booleans())
    def emit(self, pick: int, count: int, with_item: bool) -> None:
        chosen = self._context(pick)
        if chosen is None:
            return
        key = chosen.context.run.thread_key
        for _ in range(count):
            number = next(self.numbers)
            item = f"said_{number}" if with_item and key is not None else None
            write: Callable[[Connection], object] | None = None
            if item is not None:
                new = [NewItem("message", "said", role="assistant", id=item)]
                write = lambda c, new=new: threads.add(c, key, new)  # noqa: E731
            try:
                chosen.context.emit("text", {"text": str(number)}, write)
            except FencedOut:
                assert chosen.lost
                return
            assert not chosen.lost
            chosen.waiting.append(Said(str(number), item))

    def _stored(self, context: ContextModel, said: list[Said]) -> None:
        run = self.runs[context.run_id]
        for one in said:
            run.log.append(("text", one.text))
            if one.item is not None:
                assert run.thread is not None
                thread = self.threads[run.thread]
                thread.items.append(one.item)
                thread.added += 1

    def _expect_batch(self, context: ContextModel, how: str | None) -> bool:
        """What becomes of the next batch of a context; whether it is known to be written."""
        batch = context.unsure or context.waiting
        if not batch:
            return True
        again = batch is context.unsure
        held = self._holds(context)
        if how is None and not held:
            context.lost = True
            context.unsure, context.waiting = [], []
            return False
        written = again and context.unsure_written
        if how != "before" and held and not written:
            self._stored(context, batch)
            written = True
        if again:
            context.unsure = []
        else:
            context.waiting = []
        if how is not None:
            context.unsure_written = written
            context.unsure = batch
            return False
        context.unsure_written = False
        return True

    @precondition(lambda self: self.contexts)
    @rule(pick=picks, how=st.sampled_from([None] * 6 + ["before", "after"]))
    def commit(self, pick: int, how: str | None) -> None:
        chosen = self._context(pick)
        if chosen is None or chosen.lost:
            return
        if not (chosen.waiting or chosen.unsure):
            return
        # All that wait in its journal are written with it.
        journal = self.journals[chosen.executor]
        waiting = {id(context) for context in journal._waiting} | {id(chosen.context)}
        together = [c for c in self.contexts if id(c.context) in waiting and not c.over]
        together.sort(key=lambda c: c.context.run.key)
        fine = self._fine(together, how)
        self.database.breaks = how
        try:
            self.runner.run(chosen.context.commit())
        except FencedOut:
            assert chosen.lost
        except StorageUnavailable:
            assert how is not None
            # They are tried again in a second; here, when somebody asks.
            for context in together:
                if context.unsure:
                    journal._waiting[context.context] = None
        else:
            assert fine
            assert not chosen.lost
            # It goes on until all of its own is written.
            while chosen.unsure or chosen.waiting:
                again = {id(context.context) for context in together if context is chosen}
                self._fine([c for c in together if id(c.context) in again], None)
        self.database.breaks = None

    def _fine(self, together: list[ContextModel], how: str | None) -> bool:
        return all([self._expect_batch(context, how) or context.lost for context in together])

    @precondition(lambda self: self.contexts)
    @rule(
        pick=picks,
        status=st.sampled_from(
            ["completed", "incomplete", "failed", "requires_action", "expired", "release"]
        ),
    )
    def end(self, pick: int, status: str) -> None:
        chosen = self._context(pick)
        if chosen is None:
            return
        context = chosen.context
        self.journals[chosen.executor]._waiting.pop(context, None)
        held = self._holds(chosen)
        error = {"code": "x", "message": "y"} if status == "failed" else None
        try:
            while True:
                batch = context.take()
                if not context.waiting:
                    break
                self._expect_batch(chosen, None)
                self.database.write_now(write_one, batch)
                context.written(batch.last_seq)
            if status == "release":
                after, stored = self.database.write_now(transactions.release, batch, _settle)
            else:
                ending = Ending(status, error)  # type: ignore[arg-type]
                after, stored = self.database.write_now(transactions.end, batch, ending, _settle)
        except FencedOut:
            assert not held
            chosen.feed.rewind()
        else:
            assert held
            run = self.runs[chosen.run_id]
            self._expect_batch(chosen, None)
            cancelling = run.status == "cancelling"
            if status == "release" and not cancelling:
                run.status, run.executor = "queued", None
                run.interruptions += 1
                run.log.append(("status", "queued"))
            else:
                self._ended(run, "cancelled" if cancelling else status)  # type: ignore[arg-type]
            chosen.feed.commit(batch.last_seq)
            chosen.feed.show_stored(stored)
            assert chosen.feed.committed == after.last_seq
            assert chosen.feed.tail == []
        chosen.over = True
        context.close()

    def _ended(self, run: RunModel, status: RunStatus) -> None:
        if status in {"cancelled", "failed", "expired"}:
            run.log.append(("settled", status))
        run.log.append(("status", status))
        run.status, run.executor = status, None
        if status in ENDED and run.thread is not None:
            self.threads[run.thread].active = None

    def _run(self, pick: int, statuses: set[str] | None = None) -> RunModel | None:
        wanted = [run for run in self.runs.values() if statuses is None or run.status in statuses]
        return wanted[pick % len(wanted)] if wanted else None

    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        run = self._run(pick)
        if run is None:
            return
        try:
            after = self.database.write_now(transactions.cancel, run.run.id, "local", KINDS)
        except IllegalTransition:
            assert run.status in ENDED
            return
        assert run.status not in ENDED
        if run.status in {"in_progress", "cancelling"}:
            run.status = "cancelling"
        else:
            self._ended(run, "cancelled")
        assert after.status == run.status

    @rule(pick=picks, here=st.booleans(), any_status=st.booleans())
    def go_on(self, pick: int, here: bool, any_status: bool) -> None:
        run = self._run(pick, None if any_status else {"requires_action"})
        if run is None:
            return
        executor = self.alive[pick % len(self.alive)] if here else None

        def write(_connection: Connection, _run: Run) -> Sequence[Raw]:
            return [("text", {"text": "outputs"}, 0)]

        try:
            after = self.database.write_now(
                transactions.go_on, run.run.id, "local", executor, write
            )
        except IllegalTransition:
            assert run.status != "requires_action"
            return
        assert run.status == "requires_action"
        run.log += [("text", "outputs"), ("status", "queued")]
        run.status, run.executor = "queued", executor
        if executor is not None:
            run.status = "in_progress"
            run.fence += 1
            run.log.append(("status", "in_progress"))
            self._leased(after, executor)

    @rule()
    def expire(self) -> None:
        due = {
            run_id
            for run_id, run in self.runs.items()
            if run.expires and run.status in {"queued", "requires_action"}
        }
        assert self.database.read_now(pending.overdue, 0) == []
        assert set(self.database.read_now(pending.overdue, LATER_MS)) == due
        for run_id in self.runs:
            after = self.database.write_now(transactions.expire, run_id, LATER_MS, KINDS)
            assert (after is not None) == (run_id in due)
        for run_id in due:
            self._ended(self.runs[run_id], "expired")

    # Executors

    @rule(pick=picks)
    def kill(self, pick: int) -> None:
        """Its contexts stay, and go on writing."""
        dead = self.alive.pop(pick % len(self.alive))
        self.database.write_now(liveness.leave, dead)
        self._new_executor()

    @rule()
    def take_over(self) -> None:
        found = self.database.read_now(pending.orphans)
        expected = [
            (run_id, run.executor)
            for run_id, run in self.runs.items()
            if run.executor is not None and run.executor not in self.alive
        ]
        assert found == expected
        for run_id, executor in found:
            after = self.database.write_now(transactions.take_over, run_id, executor, KINDS)
            again = self.database.write_now(transactions.take_over, run_id, executor, KINDS)
            assert after is not None
            assert again is None
            run = self.runs[run_id]
            if run.status == "cancelling":
                self._ended(run, "cancelled")
            elif run.kind == "resumes" and run.interruptions < MAX_INTERRUPTIONS:
                run.status, run.executor = "queued", None
                run.interruptions += 1
                run.log.append(("status", "queued"))
            else:
                self._ended(run, "failed")

    # What always holds

    @invariant()
    def the_database_is_as_the_model_says(self) -> None:
        type(self).steps += 1
        if not hasattr(self, "threads"):
            return
        self.database.read_now(self._compare)

    def _compare(self, connection: Connection) -> None:
        def rows(*columns: Any, order: Any = None) -> list[Any]:
            return list(connection.execute(sa.select(*columns).order_by(order)))

        t, r, i, e = threads_table.c, runs_table.c, items.c, run_events.c
        assert {row.id: (row.active_run, row.last_position) for row in rows(t.id, *t)} == {
            letter: (thread.active, thread.added) for letter, thread in self.threads.items()
        }
        held: dict[int, list[str]] = {thread.key: [] for thread in self.threads.values()}
        for row in rows(i.thread_key, i.id, order=i.position):
            held[row.thread_key].append(row.id)
        assert held == {thread.key: thread.items for thread in self.threads.values()}
        stored = {row.id: row for row in rows(*r)}
        assert set(stored) == set(self.runs)
        logs: dict[int, list[tuple[str, str]]] = {}
        for key in {row.run_key for row in rows(e.run_key)}:
            log = store.events_after(connection, key, 0)
            assert [event.seq for event in log] == list(range(1, len(log) + 1))
            logs[key] = [
                (event.type, event.data["status" if event.type != "text" else "text"])
                for event in log
            ]
        active: dict[int, int] = {}
        for run_id, known in self.runs.items():
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
        for context in self.contexts:
            known = self.runs.get(context.run_id)
            if known is not None and self._holds(context):
                # Nobody is told that something is stored before it is.
                assert context.feed.committed <= stored[context.run_id].last_seq
        registered = {row.id for row in rows(executors.c.id)}
        assert registered == set(self.alive)
        assert not rows(run_steps.c.id)


def run_machine(url: URL, examples: int, steps: int) -> int:
    database = Breaking(url)
    runner = asyncio.Runner()

    class OnIt(Machine):
        pass

    OnIt.database, OnIt.runner = database, runner
    try:
        run_state_machine_as_test(
            OnIt,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                # Shrinking a failure would take minutes; sixty steps can be read.
                phases=[Phase.generate],
                database=None,
                print_blob=False,
            ),
        )
    finally:
        runner.close()
        database.close()
    return OnIt.steps


@pytest.mark.timeout(600)
def test_whatever_happens_on_sqlite(tmp_path: Path, state: State) -> None:
    url = database_url(None, tmp_path)
    make_schema(url, tmp_path)
    steps = run_machine(url, 200, 60)
    state(f"{steps} steps")
    assert steps >= 10_000


@pytest.mark.timeout(600)
def test_whatever_happens_on_postgresql(postgres_address: URL, state: State) -> None:
    steps = run_machine(postgres_address, 15, 50)
    state(f"{steps} steps")
