"""What the database itself says after a crash: read from outside, past every server."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from novasystem.runs.state import ENDED
from novasystem.runs.transactions import MAX_INTERRUPTIONS
from novasystem.storage.tables import executors, items, run_events, run_steps, runs, threads

__all__ = ["Data", "RunData", "opened"]


@dataclass(frozen=True)
class RunData:
    """A run's row, and its log as (number, type, data)."""

    row: Any
    events: list[tuple[int, str, dict[str, Any]]]


class Data:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def runs(self, after: int = 0) -> list[RunData]:
        """Every run with a greater key, in order."""
        with self._engine.connect() as connection:
            asked = sa.select(runs).where(runs.c.key > after).order_by(runs.c.key)
            found = [RunData(row, []) for row in connection.execute(asked)]
            by_key = {one.row.key: one for one in found}
            batches = connection.execute(
                sa.select(run_events)
                .where(run_events.c.run_key > after)
                .order_by(run_events.c.run_key, run_events.c.first_seq)
            )
            for batch in batches:
                if batch.run_key not in by_key:
                    continue
                events = orjson.loads(batch.events)
                # A batch says itself which numbers it holds.
                assert len(events) == batch.last_seq - batch.first_seq + 1
                by_key[batch.run_key].events.extend(
                    (number, type_, data)
                    for number, (type_, data, _) in enumerate(events, batch.first_seq)
                )
        return found

    def active(self) -> int:
        with self._engine.connect() as connection:
            return connection.scalar(
                sa.select(sa.func.count()).select_from(runs).where(runs.c.status.not_in(ENDED))
            ) or 0  # fmt: skip

    def check_settled(self, after: int = 0) -> list[RunData]:
        """Every run with a greater key than ``after`` has ended as it should; returns them."""
        found = self.runs(after)
        for run in found:
            check_run(run)
        with self._engine.connect() as connection:
            held = connection.execute(sa.select(threads).where(threads.c.active_run.is_not(None)))
            assert held.all() == [], "a thread is held though no run is active"
            half = connection.execute(sa.select(items).where(items.c.status == "in_progress"))
            assert half.all() == [], "a message is still being written though no run is active"
            open_ = sa.select(run_steps).where(run_steps.c.status == "in_progress")
            assert connection.execute(open_).all() == [], "a step is open though no run is active"
            alive = connection.execute(sa.select(executors)).all()
            assert len(alive) <= 1, alive
        return found

    def steps(self) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(run_steps).order_by(run_steps.c.key)))


def check_run(run: RunData) -> None:
    """One run that has ended, and its log."""
    row, events = run.row, run.events
    assert row.status in ENDED, row
    assert row.executor is None, row
    assert [number for number, _, _ in events] == list(range(1, row.last_seq + 1)), (row, events)
    statuses = [data["status"] for _, type_, data in events if type_ == "status"]
    assert statuses[0] == "queued"
    # It ended once, that was the last thing that happened, and it is what the row says.
    assert [status for status in statuses if status in ENDED] == [row.status], statuses
    assert events[-1][1:] == ("status", events[-1][2])
    assert events[-1][2]["status"] == row.status
    # Each lease is one execution: as many as the fence says, each begun by exactly one.
    assert Counter(statuses)["in_progress"] == row.fence, (row, statuses)
    assert row.interruptions <= MAX_INTERRUPTIONS, row
    if row.status == "failed":
        assert row.error["code"] in {"interrupted", "call_interrupted"}, row.error
        assert row.error["message"]


@contextmanager
def opened(url: str) -> Iterator[Data]:
    """``url`` as SQLAlchemy writes it."""
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    try:
        yield Data(engine)
    finally:
        engine.dispose()
