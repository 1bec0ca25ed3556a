"""Threads and items as they are kept: strict positions, whole deletion, any text."""

import functools
import multiprocessing
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL, Connection

from novasystem.errors import NotFound
from novasystem.runs import store as run_store
from novasystem.runs import transactions
from novasystem.runs.records import NewRun
from novasystem.storage.database import Database
from novasystem.storage.tables import items, metadata
from novasystem.threads import store
from novasystem.threads.records import Item, NewItem

TEXTS = [
    "",
    "x\x00y",
    "\x00",
    "ü漢🎈\u200f",
    "\U0010ffff",
    "\ufffe\uffff",
    "\r\n\x1b[0m",
    "'; --",
]


def message(text: str = "x", **more: object) -> NewItem:
    return NewItem("message", text, role="user", **more)  # type: ignore[arg-type]


def thread_of(database: Database, thread_id: str = "t", owner: str = "local") -> int:
    return database.write_now(store.create, thread_id, owner).key


def all_items(database: Database, key: int) -> list[Item]:
    return database.read_now(store.list_items, key, limit=10_000)


def test_creating_one_twice_gives_the_same(database: Database) -> None:
    first = database.write_now(store.create, "t", "local", metadata={"a": "b"})
    again = database.write_now(store.create, "t", "local", metadata={"c": "d"})
    assert again == first
    assert database.read_now(store.find, "t", "local") == first


def test_another_owner_has_another_thread_under_that_id(database: Database) -> None:
    mine = database.write_now(store.create, "t", "me")
    yours = database.write_now(store.create, "t", "you")
    assert mine.key != yours.key
    database.write_now(store.add, mine.key, [message("secret")])
    assert all_items(database, yours.key) == []
    assert database.read_now(store.find, "t", "nobody") is None
    [item] = all_items(database, mine.key)
    assert database.read_now(store.get_item, yours.key, item.id) is None
    assert [t.key for t in database.read_now(store.list_threads, "you", limit=9)] == [yours.key]
    database.write_now(store.delete, yours.key)
    assert all_items(database, mine.key) == [item]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_survives_everywhere(database: Database, text: str) -> None:
    key = thread_of(database)
    new = NewItem(
        "tool_call",
        text,
        call_id=f"c{text}",
        name=text * 200,
        metadata={text: text},
        attachments=[{"a": text}],
    )
    [added] = database.write_now(store.add, key, [new])
    assert all_items(database, key) == [added]
    assert (added.content, added.name, added.metadata) == (text, text * 200, {text: text})
    database.write_now(store.end_item, added.id, text + "!", incomplete_reason="run_failed")
    [after] = all_items(database, key)
    assert (after.content, after.status) == (text + "!", "incomplete")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.text(), min_size=1, max_size=8))
def test_any_utf8_survives(database: Database, texts: list[str]) -> None:
    key = thread_of(database)
    before = len(all_items(database, key))
    database.write_now(store.add, key, [message(text) for text in texts])
    assert [item.content for item in all_items(database, key)[before:]] == texts


def test_many_at_once_keep_their_order(database: Database) -> None:
    key = thread_of(database)
    added = database.write_now(store.add, key, [message(str(n)) for n in range(500)])
    assert [item.position for item in added] == list(range(1, 501))
    found = all_items(database, key)
    assert [item.content for item in found] == [str(n) for n in range(500)]
    assert [item.key for item in found] == [item.key for item in added]
    assert database.write_now(store.add, key, []) == []


def _add_many(address: str, key: int, name: str, count: int) -> None:
    database = Database(sa.make_url(address))
    for number in range(count):
        database.write_now(store.add, key, [message(f"{name} {number}")] * (1 + number % 2))
    database.close()


def test_positions_are_strict_where_two_processes_add(address: URL) -> None:
    database = Database(address)
    key = thread_of(database)
    context = multiprocessing.get_context("spawn")
    shown = address.render_as_string(hide_password=False)
    others = [
        context.Process(target=_add_many, args=(shown, key, name, 60)) for name in ("one", "two")
    ]
    for other in others:
        other.start()
    _add_many(shown, key, "three", 60)
    for other in others:
        other.join(120)
        assert other.exitcode == 0
    found = all_items(database, key)
    assert [item.position for item in found] == list(range(1, 3 * 90 + 1))
    for name in ("one", "two", "three"):
        said = [int(item.content.split()[1]) for item in found if item.content.startswith(name)]
        assert said == sorted(said)
        assert len(said) == 90
    database.close()


def test_deleting_leaves_nothing_in_any_table(database: Database) -> None:
    key = thread_of(database)
    other = thread_of(database, "other")
    for thread_key, thread_id in ((key, "t"), (other, "other")):
        new = NewRun("work", "local", {}, thread_key=thread_key, thread_id=thread_id)
        run = database.write_now(transactions.begin, functools.partial(_given, new), "exec_1", None)
        database.write_now(run_store.insert_step, run.key, type_="call", details={}, name="n")
        database.write_now(store.add, thread_key, [message(run_id=run.id)])
        if thread_key == key:
            run_ids = [run.id]
    before = database.read_now(_counts)
    assert database.write_now(store.delete, key) == run_ids
    after = database.read_now(_counts)
    assert before == {name: 2 * count for name, count in after.items()}
    assert sum(after.values()) >= 5
    database.write_now(store.delete, other)
    assert set(database.read_now(_counts).values()) == {0}
    assert database.write_now(store.delete, other) == []


def _given(new: NewRun, _connection: Connection) -> NewRun:
    return new


def _counts(connection: Connection) -> dict[str, int]:
    return {
        table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for table in metadata.sorted_tables
    }


def test_adding_to_a_deleted_thread_says_so(database: Database) -> None:
    key = thread_of(database)
    database.write_now(store.delete, key)
    with pytest.raises(NotFound):
        database.write_now(store.add, key, [message()])
    assert database.read_now(lambda c: c.execute(sa.select(items)).all()) == []


def test_ids_are_never_used_twice(database: Database) -> None:
    key = thread_of(database)
    database.write_now(store.delete, key)
    assert thread_of(database) > key


def test_times_and_token_counts(database: Database) -> None:
    key = thread_of(database)
    [open_item] = database.write_now(store.add, key, [message(status="in_progress")])
    assert (open_item.completed_at, open_item.token_count_exact) == (None, False)
    database.write_now(store.end_item, open_item.id, "said", token_count=3, token_count_exact=True)
    [after] = all_items(database, key)
    assert (after.status, after.token_count, after.token_count_exact) == ("completed", 3, True)
    assert after.completed_at is not None
    assert after.incomplete_at is None
    database.write_now(store.set_token_count, after.key, 9, exact=False)
    assert all_items(database, key)[0].token_count == 9


@pytest.mark.parametrize("ascending", [True, False])
def test_pages_in_both_orders(database: Database, ascending: bool) -> None:
    key = thread_of(database)
    database.write_now(store.add, key, [message(str(n)) for n in range(23)])
    shown = database.read_now(store.list_items, key, limit=100, ascending=ascending)
    assert [item.content for item in shown] == sorted(
        (str(n) for n in range(23)), key=int, reverse=not ascending
    )
    ids = [item.id for item in shown]

    def page(limit: int, after: str | None = None, before: str | None = None) -> list[str]:
        found = database.read_now(
            store.list_items, key, limit=limit, ascending=ascending, after=after, before=before
        )
        return [item.id for item in found]

    forward: list[str] = []
    while more := page(5, after=forward[-1] if forward else None):
        forward += more
    assert forward == ids
    backward: list[str] = []
    while more := page(5, before=backward[0] if backward else None) if backward else ids[-5:]:
        backward = more + backward
    assert backward == ids
    assert page(3, before=ids[10]) == ids[7:10]
    assert page(3, before=ids[1]) == ids[:1]
    assert page(3, after=ids[4], before=ids[6]) == ids[5:6]
    assert page(3, after=ids[4], before=ids[20]) == ids[5:8]
    assert page(3, after=ids[-1]) == []
    assert page(3, before=ids[0]) == []
    assert page(3, after="unknown") == []


def test_the_last_page_of_a_long_thread_is_read_without_the_rest(tmp_path: Path) -> None:
    from tests.storage.databases import make_schema

    url = sa.make_url(f"sqlite:///{tmp_path / 'long.db'}")
    make_schema(url, tmp_path)
    database = Database(url)
    key = thread_of(database)
    for _ in range(10):
        database.write_now(store.add, key, [message("x" * 200)] * 1000)
    begun = time.perf_counter()
    for _ in range(10):
        assert len(database.read_now(store.last_items, key, 50)) == 50
    # Far from the bound that is measured elsewhere: it only must not read ten thousand rows.
    assert (time.perf_counter() - begun) / 10 < 0.1
    database.close()


def test_the_newest_of_a_thread_that_no_run_holds(database: Database) -> None:
    look = database.read_now
    assert look(store.newest_unheld, "a" * 32, "local", 3) == ([], 0)
    thread = database.write_now(store.create, "a" * 32, "local")
    assert look(store.newest_unheld, "a" * 32, "local", 3) == ([], 0)
    new = [NewItem("message", str(number), role="user") for number in range(5)]
    added = database.write_now(store.add, thread.key, new)
    assert look(store.newest_unheld, "a" * 32, "local", 3) == (added[2:], 5)
    assert look(store.newest_unheld, "a" * 32, "somebody", 3) == ([], 0)
    database.write_now(store.delete_item, added[-1].key)
    assert look(store.newest_unheld, "a" * 32, "local", 2) == (added[2:4], 5)
    for item in added[:-1]:
        database.write_now(store.delete_item, item.key)
    assert look(store.newest_unheld, "a" * 32, "local", 3) == ([], 5)
    database.write_now(functools.partial(store.update, key=thread.key, active_run="run_1"))
    assert look(store.newest_unheld, "a" * 32, "local", 3) is None
