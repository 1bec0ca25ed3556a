"""The first half of the state machine: the steps that doors and clocks make."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)
from sqlalchemy.engine import Connection

from novasystem.errors import IllegalTransition, ThreadBusy
from novasystem.runs import liveness, pending, transactions
from novasystem.runs.context import RunContext
from novasystem.runs.feed import Feed
from novasystem.runs.joined import Opening
from novasystem.runs.records import NewRun, Run
from novasystem.runs.state import ACTIVE, ENDED, RunStatus
from novasystem.runs.store import Raw
from novasystem.storage.ids import now_ms
from novasystem.threads import store as threads
from novasystem.threads.records import NewItem
from tests.runs.model import (
    KINDS,
    LATER_MS,
    LETTERS,
    SOON_S,
    Breaking,
    ByHand,
    ContextModel,
    Model,
    RunModel,
    ThreadModel,
)
from tests.storage.databases import empty

F = TypeVar("F", bound=Callable[..., None])
picks = st.integers(min_value=0, max_value=10**6)


def when(condition: Callable[[Model], object]) -> Callable[[F], F]:
    """A step that would do nothing is no step."""
    return precondition(lambda machine: bool(condition(machine.model)))


class Doors(RuleBasedStateMachine):
    """What comes from outside: threads, items, runs, and what becomes of runs that wait."""

    database: Breaking
    runner: asyncio.Runner
    steps = 0

    @initialize()
    def begin_anew(self) -> None:
        empty(self.database)
        self.database.breaks = None
        self.model = Model()
        self.journals: dict[str, ByHand] = {}
        self.numbers = itertools.count(1)
        for letter in LETTERS[:2]:
            self._new_executor()
            self.create_thread(letter)
            self.start(letter, "resumes", True, True, 0)

    def _new_executor(self) -> None:
        name = f"exec_{next(self.numbers)}"
        self.database.write_now(liveness.register, name, alone=False)
        self.journals[name] = ByHand(self.database, lambda _context, _error: None)
        self.model.alive.append(name)

    # Threads

    @rule(
        what=st.sampled_from(["create", "add", "add", "add", "delete"]),
        letter=st.sampled_from(LETTERS),
        count=st.integers(1, 3),
    )
    def use_thread(self, what: str, letter: str, count: int) -> None:
        if what == "create" or letter not in self.model.threads:
            self.create_thread(letter)
        elif what == "add":
            self.add_items(letter, count)
        else:
            self.delete_thread(letter)

    def create_thread(self, letter: str) -> None:
        made = self.database.write_now(threads.create, letter, "local")
        known = self.model.threads.setdefault(letter, ThreadModel(made.key))
        assert (made.key, made.active_run) == (known.key, known.active)

    def delete_thread(self, letter: str) -> None:
        known = self.model.threads.pop(letter)
        gone = self.database.write_now(threads.delete, known.key)
        assert set(gone) == {
            run_id for run_id, run in self.model.runs.items() if run.thread == letter
        }
        for run_id in gone:
            del self.model.runs[run_id]

    def add_items(self, letter: str, count: int) -> None:
        thread = self.model.threads[letter]
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
        thread = None if letter is None else self.model.threads.get(letter)
        if letter is not None and thread is None:
            self.create_thread(letter)
            thread = self.model.threads[letter]
        executor = self.model.alive[pick % len(self.model.alive)] if here else None
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
            run = self._joined(new, executor) or self.database.write_now(
                transactions.begin, lambda _: new, executor, write
            )
        except ThreadBusy as error:
            busy: str | None = error.run_id
        else:
            busy = None
        assert busy == (None if thread is None else thread.active)
        if busy is not None:
            return
        log = [("status", "queued")] + ([("status", "in_progress")] if here else [])
        status: RunStatus = "in_progress" if here else "queued"
        self.model.runs[run.id] = RunModel(
            run, kind, letter, status, executor, int(here), expires, log=log
        )
        if thread is not None:
            thread.active = run.id
            thread.items.append(f"asked_{run.id}")
            thread.added += 1
        if executor is not None:
            self._leased(run, executor)

    def _joined(self, new: NewRun, executor: str | None) -> Run | None:
        """The same in one statement, where it can be and nothing is in its way."""
        if self.database.is_sqlite or executor is None or new.thread_id is None:
            return None
        at_ms, run_id = now_ms(), f"run_{next(self.numbers)}"
        asked = NewItem("message", "asked", role="user", id=f"asked_{run_id}")
        say, stored = threads.added_to_held(asked, at_ms)
        take = threads.taken(new.thread_id, new.owner_id, run_id, at_ms)

        def told(thread_key: int, position: int, key: int) -> None:
            item = stored(thread_key, position, key)
            assert thread_key == new.thread_key
            known = self.database.read_now(threads.get_item, thread_key, item.id)
            assert item == known

        opening = Opening(replace(new, id=run_id), take, say, told, at_ms)
        run: Run | None = self.database.write_now(transactions.open_joined, opening, "", executor)
        return run

    def _leased(self, run: Run, executor: str) -> None:
        assert run.executor == executor
        feed = Feed(run.last_seq)
        context = RunContext(run, feed, self.journals[executor], self.database)
        self.model.contexts.append(ContextModel(context, feed, executor, run.id, run.fence))

    def _ended(self, run: RunModel, status: RunStatus) -> None:
        if status in {"cancelled", "failed", "expired"}:
            run.log.append(("settled", status))
        run.log.append(("status", status))
        run.status, run.executor = status, None
        if status in ENDED and run.thread is not None:
            self.model.threads[run.thread].active = None

    def _run(self, pick: int) -> RunModel:
        # Those that have ended are many, and little can be done to them.
        active = self.model.having(*ACTIVE)
        wanted = active if active and pick % 4 else list(self.model.runs.values())
        return wanted[pick % len(wanted)]

    @when(lambda model: model.having(*ACTIVE))
    @rule(
        pick=picks,
        what=st.sampled_from(["cancel", "go on", "go on", "expire"]),
        here=st.booleans(),
        any_status=st.booleans(),
    )
    def decide(self, pick: int, what: str, here: bool, any_status: bool) -> None:
        if what == "expire" and self.model.due():
            self.expire()
        elif what == "go on" and self.model.having("requires_action"):
            self.go_on(pick, here, any_status)
        else:
            self.cancel(pick)

    def cancel(self, pick: int) -> None:
        run = self._run(pick)
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

    def go_on(self, pick: int, here: bool, any_status: bool) -> None:
        waiting = self.model.having("requires_action")
        run = self._run(pick) if any_status else waiting[pick % len(waiting)]
        executor = self.model.alive[pick % len(self.model.alive)] if here else None

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

    def expire(self) -> None:
        due = self.model.due()
        assert self.database.read_now(pending.overdue, 0) == []
        assert set(self.database.read_now(pending.overdue, LATER_MS)) == due
        for run_id in self.model.runs:
            after = self.database.write_now(transactions.expire, run_id, LATER_MS, KINDS)
            assert (after is not None) == (run_id in due)
        for run_id in due:
            self._ended(self.model.runs[run_id], "expired")
