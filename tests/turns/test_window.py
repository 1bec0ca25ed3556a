"""A thread is fitted into the model's window by real counts where it becomes tight."""

import pytest
from sqlalchemy.engine import Connection

from novasystem.errors import ContextLengthExceeded
from novasystem.storage.database import Database
from novasystem.threads import store
from novasystem.threads.records import NewItem
from novasystem.turns.fitting import PER_MESSAGE, estimate, fewer, fit
from novasystem.turns.window import look_back
from tests.servers.answers import json_answer
from tests.turns.conftest import WINDOW, Counting

# By the estimate 67 tokens, by the engine's count 20.
MESSAGE = " ".join(["aaaaaaaaa"] * 20)
BUDGET = WINDOW - WINDOW // 4


def thread(database: Database, messages: int, text: str = MESSAGE, *, exact: bool = False) -> int:
    """The key of a thread with that many messages."""

    def make(connection: Connection) -> int:
        made = store.create(connection, f"{messages:032x}", "local")
        tokens = len(text.split()) if exact else estimate(text)
        item = NewItem("message", text, role="user", token_count=tokens, token_count_exact=exact)
        store.add(connection, made.key, [item] * messages)
        return made.key

    return database.write_now(make)


async def test_where_there_is_room_nothing_is_counted(
    counting: Counting, database: Database
) -> None:
    fitted = await look_back(database, counting.registry, thread(database, 1), "m")
    assert (len(fitted.items), fitted.left_out) == (1, 0)
    assert not counting.counted


async def test_where_it_becomes_tight_the_counts_are_the_engine_s(
    counting: Counting, database: Database
) -> None:
    key = thread(database, 30)
    fitted = await look_back(database, counting.registry, key, "m")
    fits = BUDGET // (20 + PER_MESSAGE)
    assert (len(fitted.items), fitted.left_out) == (fits, 30 - fits)
    assert fitted.exact
    assert fitted.tokens <= BUDGET
    asked = len(counting.counted)
    assert fits < asked < 30
    # They are kept: the next look asks for nothing.
    again = await look_back(database, counting.registry, key, "m")
    assert [item.id for item in again.items] == [item.id for item in fitted.items]
    assert len(counting.counted) == asked


async def test_counts_that_are_known_are_not_asked_for(
    counting: Counting, database: Database
) -> None:
    fitted = await look_back(database, counting.registry, thread(database, 30, exact=True), "m")
    assert fitted.exact
    assert not counting.counted


async def test_an_engine_that_does_not_count_leaves_the_estimates(
    counting: Counting, database: Database
) -> None:
    counting.upstream.asks("POST", "/tokenize", lambda _seen: json_answer(404, {}))
    fitted = await look_back(database, counting.registry, thread(database, 30), "m")
    assert len(fitted.items) == BUDGET // (estimate(MESSAGE) + PER_MESSAGE)
    assert not fitted.exact


async def test_instructions_take_their_part_and_may_take_all(
    counting: Counting, database: Database
) -> None:
    key = thread(database, 30, exact=True)
    some = await look_back(database, counting.registry, key, "m", instructions="word " * 100)
    assert len(some.items) == (BUDGET - 100 - PER_MESSAGE) // (20 + PER_MESSAGE)
    with pytest.raises(ContextLengthExceeded, match="instructions"):
        await look_back(database, counting.registry, key, "m", instructions="word " * 300)


async def test_last_messages_leave_out_what_would_fit(
    counting: Counting, database: Database
) -> None:
    key = thread(database, 5, exact=True)
    fitted = await look_back(database, counting.registry, key, "m", last_messages=2)
    assert (len(fitted.items), fitted.left_out) == (2, 3)


def test_fewer_takes_whole_units_from_the_front_and_keeps_the_newest(
    database: Database,
) -> None:
    items = database.read_now(store.last_items, thread(database, 6), 100)
    fitted = fit(items)
    less = fewer(fitted, 2)
    assert less is not None
    assert [item.position for item in less.items] == [3, 4, 5, 6]
    assert less.left_out == 2
    least = fewer(less, 100)
    assert least is not None
    assert [item.position for item in least.items] == [6]
    assert fewer(least, 1) is None
