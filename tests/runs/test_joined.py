"""A run's begin, batches and end as one statement each, while others change the same rows."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import URL, Connection

from novasystem.errors import FencedOut
from novasystem.runs import store, transactions
from novasystem.runs.context import Batch
from novasystem.runs.joined import Change, added_step, ended_step, joinable, keep
from novasystem.runs.records import Run
from novasystem.runs.transactions import Ending
from novasystem.storage.database import Database, one_statement
from novasystem.storage.ids import now_ms
from novasystem.threads import store as threads
from novasystem.threads.records import Item, NewItem, Thread
from novasystem.turns.opening import Said

OWNER, THREAD = "local", "a" * 32


@pytest.fixture
def database(postgres_address: URL) -> Iterator[Database]:
    database = Database(postgres_address)
    yield database
    database.close()


def opened(database: Database, run_id: str = "run_1", text: str = "Hi.") -> tuple[Run, Item] | None:
    items: list[Item] = []
    said = Said("work", OWNER, THREAD, text, {}, run_id=run_id, stored=items.append)
    run = database.write_now(transactions.open_joined, said.opening(), "lane", "exec_1")
    return None if run is None else (run, items[0])


def begun(database: Database) -> Run:
    found = opened(database)
    assert found is not None
    return found[0]


def adding(run: Run, item: str = "msg_1", *, open_step: bool = False) -> Change:
    """An answer and its step, as a turn writes them."""
    new = NewItem("message", "said", role="assistant", id=item, run_id=run.id)
    step: dict[str, Any] = {"id": f"step_{item}", "type": "t", "status": "completed", "details": {}}
    step |= {"created_at": 1, "ended_at": 2}
    return Change(
        lambda _connection: None,
        [threads.added_to_held(new, 5)[0], added_step(step)],
        frozenset({item}),
        adds=True,
        opens=open_step,
    )


def ending(
    database: Database, run: Run, *writes: Change, status: Any = "completed"
) -> tuple[Run, list[Any]] | None:
    batch = Batch(run, run.last_seq + 1, [("text", {"text": "a"}, 5)], list(writes))
    how = Ending(status)
    changes = transactions.changes_of(batch, how)
    assert changes is not None
    return database.write_now(transactions.end_joined, batch, changes, how)


def kept(
    connection: Connection, run: Run, known: int, events: list[Any], changes: list[Change]
) -> bool:
    return keep(connection, run, known, events, changes)


def thread_of(database: Database, run: Run) -> Thread:
    assert run.thread_key is not None
    thread = database.read_now(threads.get, run.thread_key)
    assert thread is not None
    return thread


def items_of(database: Database, run: Run) -> list[tuple[int, str]]:
    assert run.thread_key is not None
    items = database.read_now(threads.list_items, run.thread_key, limit=100)
    return [(item.position, item.content) for item in items]


def nothing_changed(database: Database, run: Run) -> bool:
    after = database.read_now(store.get, run.id)
    steps = database.read_now(store.list_steps, run.key, limit=9)
    log = database.read_now(store.events_after, run.key, run.last_seq)
    return after is not None and after.last_seq == run.last_seq and log == [] and steps == []


@contextmanager
def meanwhile(database: Database, url: URL, change: str, work: Callable[[], Any]) -> Iterator[Any]:
    """``work`` comes to rows that another transaction has changed and not committed yet."""
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as other, ThreadPoolExecutor(1) as pool:
        other.execute(change.encode())
        result: Future[Any] = pool.submit(work)
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        until = time.monotonic() + 30
        while not database.read_now(lambda c: c.exec_driver_sql(waits).scalar()):
            assert time.monotonic() < until, "nobody waits"
            time.sleep(0.01)
        assert not result.done()
        other.commit()
        yield result.result(30)


def test_a_run_its_message_and_its_log_begin_together(database: Database) -> None:
    found = opened(database)
    assert found is not None
    run, item = found
    assert run.thread_key is not None
    assert run == database.read_now(store.get, run.id)
    assert item == database.read_now(threads.get_item, run.thread_key, item.id)
    assert (run.status, run.executor, run.fence, run.last_seq) == ("in_progress", "exec_1", 1, 2)
    log = database.read_now(store.events_after, run.key, 0)
    assert [event.data["status"] for event in log] == ["queued", "in_progress"]
    thread = thread_of(database, run)
    assert (thread.id, thread.active_run, thread.last_position) == (THREAD, run.id, 1)


def test_a_thread_that_is_held_takes_nothing_of_another_run(database: Database) -> None:
    run = begun(database)
    assert opened(database, "run_2") is None
    assert database.read_now(store.get, "run_2") is None
    assert items_of(database, run) == [(1, "Hi.")]
    assert thread_of(database, run).active_run == run.id


def test_of_two_that_begin_at_once_one_has_the_thread(
    database: Database, postgres_address: URL
) -> None:
    run = begun(database)
    assert ending(database, run) is not None
    take = (
        f"UPDATE threads SET active_run = 'other', last_position = 7 WHERE key = {run.thread_key}"
    )
    with meanwhile(database, postgres_address, take, lambda: opened(database, "run_2")) as second:
        assert second is None
    free = f"UPDATE threads SET active_run = NULL, last_position = 9 WHERE key = {run.thread_key}"
    with meanwhile(database, postgres_address, free, lambda: opened(database, "run_2")) as second:
        assert second is not None
        assert second[1].position == 10


def test_an_end_is_whole(database: Database) -> None:
    run = begun(database)
    database.write_now(
        store.insert_step, run.key, type_=store.CALL, details={}, step_id="step_call"
    )
    found = ending(database, run, adding(run))
    assert found is not None
    after, [event] = found
    assert after == database.read_now(store.get, run.id)
    assert (after.status, after.executor, event.seq) == ("completed", None, run.last_seq + 2)
    log = database.read_now(store.events_after, run.key, run.last_seq)
    assert [one.type for one in log] == ["text", "status"]
    assert log[-1] == event
    assert items_of(database, run) == [(1, "Hi."), (2, "said")]
    thread = thread_of(database, run)
    assert (thread.active_run, thread.last_position) == (None, 2)
    steps = database.read_now(store.list_steps, run.key, limit=9, ascending=True)
    assert [(step.id, step.status) for step in steps] == [
        ("step_call", "unknown"),
        ("step_msg_1", "completed"),
    ]


def test_a_step_that_the_batch_ends_keeps_its_own_end(database: Database) -> None:
    run = begun(database)
    for step in ("step_1", "step_2"):
        database.write_now(store.insert_step, run.key, type_="t", details={}, step_id=step)
    part = ended_step("step_1", status="completed", usage={"total_tokens": 3}, ended_at=11)
    said = Change(lambda _connection: None, [part], frozenset({"step_1"}), ends="step_1")
    assert ending(database, run, said, status="incomplete") is not None
    steps = database.read_now(store.list_steps, run.key, limit=9, ascending=True)
    assert [step.status for step in steps] == ["completed", "completed"]
    assert (steps[0].ended_at, steps[0].usage) == (11, {"total_tokens": 3})


def test_a_thread_that_changes_meanwhile_keeps_both_changes(
    database: Database, postgres_address: URL
) -> None:
    run = begun(database)
    change = (
        'UPDATE threads SET metadata = \'{"a": "b"}\', last_position = last_position + 4 '
        f"WHERE key = {run.thread_key}"
    )
    work = lambda: ending(database, run, adding(run))  # noqa: E731
    with meanwhile(database, postgres_address, change, work) as found:
        assert found is not None
    assert items_of(database, run) == [(1, "Hi."), (6, "said")]
    thread = thread_of(database, run)
    assert (thread.active_run, thread.last_position) == (None, 6)
    assert thread.metadata == {"a": "b"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE runs SET status = 'cancelling'",
        "UPDATE runs SET fence = fence + 1",
        "UPDATE runs SET executor = 'exec_2'",
        "UPDATE runs SET last_seq = last_seq + 1",
        "DELETE FROM runs",
    ],
)
def test_an_end_that_comes_too_late_writes_nothing(
    database: Database, postgres_address: URL, change: str
) -> None:
    run = begun(database)
    work = lambda: ending(database, run, adding(run))  # noqa: E731
    with meanwhile(database, postgres_address, change, work) as found:
        assert found is None
    assert items_of(database, run) == [(1, "Hi.")]
    assert thread_of(database, run).active_run == run.id
    after = database.read_now(store.get, run.id)
    assert after is None or (after.ended_at is None and after.status != "completed")
    assert database.read_now(store.events_after, run.key, run.last_seq) == []
    assert database.read_now(store.list_steps, run.key, limit=9) == []


def test_a_cancel_that_came_first_wins(database: Database) -> None:
    run = begun(database)
    database.write_now(transactions.cancel, run.id, OWNER, {})
    assert ending(database, run) is None
    batch = Batch(run, run.last_seq + 1, [], [])
    after, _ = database.write_now(transactions.end, batch, Ending("completed"), None)
    assert after.status == "cancelled"
    with pytest.raises(FencedOut):
        database.write_now(transactions.end, batch, Ending("completed"), None)


def test_what_waits_for_an_action_keeps_its_thread_and_its_steps(database: Database) -> None:
    run = begun(database)
    database.write_now(store.insert_step, run.key, type_="t", details={}, step_id="step_1")
    assert ending(database, run, adding(run), status="requires_action") is not None
    assert thread_of(database, run).active_run == run.id
    assert items_of(database, run) == [(1, "Hi."), (2, "said")]
    step = database.read_now(store.get_step, run.key, "step_1")
    assert step is not None
    assert step.status == "in_progress"


def test_what_would_write_a_row_twice_is_no_statement(database: Database) -> None:
    """PostgreSQL would carry out one of the two, and say nothing."""
    run = begun(database)
    one = adding(run)
    assert joinable([one]) == [one]
    assert joinable([]) == []
    assert joinable([one, lambda _connection: None]) is None
    assert joinable([one, adding(run, "msg_2")]) is None
    part = ended_step("msg_1", status="completed")
    again = Change(lambda _connection: None, [part], frozenset({"msg_1"}), ends="msg_1")
    assert joinable([one, again]) is None
    other = Change(lambda _connection: None, [part], frozenset({"msg_2"}), ends="msg_2")
    assert joinable([again, other]) is None
    left_open = Batch(run, 3, [], [adding(run, open_step=True)])
    assert transactions.changes_of(left_open, Ending("completed")) is None
    assert transactions.changes_of(Batch(run, 3, [], []), Ending("cancelled")) is None


def test_what_is_one_statement_has_no_transaction_around_it(database: Database) -> None:
    def work(connection: Connection) -> list[str]:
        connection_below: Any = connection.connection.driver_connection
        asked = "SELECT txid_current()"
        return [str(connection_below.execute(asked).fetchone()[0]) for _ in range(2)]

    inside = database.write_now(work)
    assert inside[0] == inside[1]
    alone = database.write_now(one_statement(work))
    assert alone[0] != alone[1]
    # The connection went back as it was.
    transaction = database.write_now(lambda connection: work(connection))
    assert transaction[0] == transaction[1]


def test_a_batch_follows_the_log_or_nothing_is_written(database: Database) -> None:
    run = begun(database)
    events: list[Any] = [("text", {"text": "a"}, now_ms())]
    early = database.write_now(kept, run, run.last_seq + 1, events, [adding(run)])
    assert not early
    assert nothing_changed(database, run)
    assert items_of(database, run) == [(1, "Hi.")]
    assert database.write_now(kept, run, run.last_seq, events, [adding(run)])
    assert not database.write_now(kept, run, run.last_seq, events, [adding(run, "msg_2")])
    assert items_of(database, run) == [(1, "Hi."), (2, "said")]
    thread = thread_of(database, run)
    assert (thread.active_run, thread.last_position) == (run.id, 2)
