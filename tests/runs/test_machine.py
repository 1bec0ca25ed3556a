"""Threads and runs against a model in plain Python, through whatever order of steps.

The steps are the kernel's own transactions on a real database, made by executors that the test
moves by hand: so one can be killed at any point, and go on writing as a zombie.
"""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.engine import URL

from novasystem.errors import FencedOut, StorageUnavailable
from novasystem.runs import liveness, pending, transactions
from novasystem.runs.journal import write_one
from novasystem.runs.transactions import MAX_INTERRUPTIONS, Ending
from novasystem.storage.database import database_url
from tests.http.figures import State
from tests.runs.machine import Doors, picks, when
from tests.runs.model import (
    KINDS,
    Breaking,
    ContextModel,
    Said,
    add_said,
    compare,
    settle,
)
from tests.storage.databases import make_schema


class Machine(Doors):
    """And those that executors make."""

    steps = 0

    @when(lambda model: model.usable())
    @rule(
        pick=picks,
        what=st.sampled_from(["emit", "commit", "broken", "end", "end"]),
        count=st.integers(1, 3),
        with_item=st.booleans(),
        how=st.sampled_from(["before", "after"]),
        status=st.sampled_from(
            ["completed", "incomplete", "failed", "requires_action", "expired", "release"]
        ),
    )
    def carry_out(
        self, pick: int, what: str, count: int, with_item: bool, how: str, status: str
    ) -> None:
        if what == "end":
            self.end(pick, status)
            return
        self.emit(pick, count, with_item)
        if what != "emit":
            self.commit(pick, how if what == "broken" else None)

    @when(lambda model: model.having("queued") or model.orphans() or model.working())
    @rule(pick=picks, limit=st.integers(1, 3))
    def look_after(self, pick: int, limit: int) -> None:
        if self.model.orphans() and pick % 2:
            self.take_over()
        elif self.model.having("queued") and pick % 3:
            self.claim(pick, limit)
        elif self.model.working():
            self.kill(pick)

    def claim(self, pick: int, limit: int) -> None:
        executor = self.model.alive[pick % len(self.model.alive)]
        claimed = self.database.write_now(transactions.claim, executor, limit=limit, full=[])
        queued = [run_id for run_id, run in self.model.runs.items() if run.status == "queued"]
        assert [run.id for run in claimed] == queued[:limit]
        for run in claimed:
            known = self.model.runs[run.id]
            known.status, known.executor = "in_progress", executor
            known.fence += 1
            known.log.append(("status", "in_progress"))
            assert run.fence == known.fence
            self._leased(run, executor)

    def _context(self, pick: int) -> ContextModel:
        """Any that is in use, and often one that has lost its lease."""
        zombies = self.model.zombies()
        usable = zombies if zombies and pick % 3 == 0 else self.model.usable()
        return usable[pick % len(usable)]

    def emit(self, pick: int, count: int, with_item: bool) -> None:
        chosen = self._context(pick)
        key = chosen.context.run.thread_key
        for _ in range(count):
            number = next(self.numbers)
            item = f"said_{number}" if with_item and key is not None else None
            write = None if item is None or key is None else add_said(key, item)
            try:
                chosen.context.emit("text", {"text": str(number)}, write)
            except FencedOut:
                assert chosen.lost
                return
            assert not chosen.lost
            chosen.waiting.append(Said(str(number), item))

    def _stored(self, context: ContextModel, said: list[Said]) -> None:
        run = self.model.runs[context.run_id]
        for one in said:
            run.log.append(("text", one.text))
            if one.item is not None:
                assert run.thread is not None
                thread = self.model.threads[run.thread]
                thread.items.append(one.item)
                thread.added += 1

    def _expect_batch(self, context: ContextModel, how: str | None) -> bool:
        """What becomes of the next batch of a context; whether it is known to be written."""
        batch = context.unsure or context.waiting
        if not batch:
            return True
        again = batch is context.unsure
        held = self.model.holds(context)
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

    def commit(self, pick: int, how: str | None) -> None:
        chosen = self._context(pick)
        if chosen.lost:
            return
        if not (chosen.waiting or chosen.unsure):
            return
        # All that wait in its journal are written with it.
        journal = self.journals[chosen.executor]
        waiting = {id(context) for context in journal._waiting} | {id(chosen.context)}
        together = [c for c in self.model.contexts if id(c.context) in waiting and not c.over]
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
                # So is what the others have that waited behind a batch of theirs.
                self._fine([c for c in together if c.unsure or c.waiting], None)
        self.database.breaks = None

    def _fine(self, together: list[ContextModel], how: str | None) -> bool:
        return all([self._expect_batch(context, how) or context.lost for context in together])

    def end(self, pick: int, status: str) -> None:
        chosen = self._context(pick)
        context = chosen.context
        self.journals[chosen.executor]._waiting.pop(context, None)
        held = self.model.holds(chosen)
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
                after, stored = self.database.write_now(transactions.release, batch, settle)
            else:
                ending = Ending(status, error)  # type: ignore[arg-type]
                changes = transactions.changes_of(batch, ending)
                found = None
                if changes is not None and not self.database.is_sqlite:
                    joined = transactions.end_joined
                    found = self.database.write_now(joined, batch, changes, ending)
                if found is None:
                    found = self.database.write_now(transactions.end, batch, ending, settle)
                after, stored = found
        except FencedOut:
            assert not held
            chosen.feed.rewind()
        else:
            assert held
            run = self.model.runs[chosen.run_id]
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

    def kill(self, pick: int) -> None:
        """Its contexts stay, and go on writing."""
        working = self.model.working()
        dead = working[pick % len(working)]
        self.model.alive.remove(dead)
        self.database.write_now(liveness.leave, dead)
        self._new_executor()

    def take_over(self) -> None:
        found = self.database.read_now(pending.orphans)
        assert found == self.model.orphans()
        for run_id, executor in found:
            after = self.database.write_now(transactions.take_over, run_id, executor, KINDS)
            again = self.database.write_now(transactions.take_over, run_id, executor, KINDS)
            assert after is not None
            assert again is None
            run = self.model.runs[run_id]
            if run.status == "cancelling":
                self._ended(run, "cancelled")
            elif run.kind == "resumes" and run.interruptions < MAX_INTERRUPTIONS:
                run.status, run.executor = "queued", None
                run.interruptions += 1
                run.log.append(("status", "queued"))
            else:
                self._ended(run, "failed")

    @invariant()
    def the_database_is_as_the_model_says(self) -> None:
        type(self).steps += 1
        if not hasattr(self, "model"):
            return
        self.database.read_now(compare, self.model)


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
    steps = run_machine(url, 220, 60)
    state(f"{steps} steps")
    assert steps >= 10_000


@pytest.mark.timeout(600)
def test_whatever_happens_on_postgresql(postgres_address: URL, state: State) -> None:
    steps = run_machine(postgres_address, 15, 50)
    state(f"{steps} steps")
