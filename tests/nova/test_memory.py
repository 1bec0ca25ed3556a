"""What was said earlier is found again by its words, for its owner alone."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from novasystem.engines.registry import Registry
from novasystem.errors import InvalidRequest, NotFound
from novasystem.nova.memory import Memory
from novasystem.nova.memory.words import words_of
from novasystem.storage.backup import back_up
from novasystem.storage.database import Database
from novasystem.storage.full_text import postgres_words
from novasystem.storage.portable import BackupFile, BackupWriter
from novasystem.storage.restore import restore
from novasystem.storage.schema import SCHEMA
from novasystem.storage.tables import items, threads
from novasystem.threads import store
from novasystem.threads.records import NewItem
from tests.nova.recalling import ME, OTHER, engines, texts
from tests.nova.said import said
from tests.storage.databases import address, database, on_postgres, postgres_address
from tests.storage.filled import opened

__all__ = ["address", "database", "on_postgres", "postgres_address"]


@pytest.fixture
async def nothing() -> AsyncIterator[Registry]:
    """No engine at all: words need none."""
    registry = engines()
    yield registry
    await registry.aclose()


@pytest.fixture
def memory(database: Database, nothing: Registry) -> Memory:
    return Memory(database, nothing)


async def test_what_holds_the_words_is_found_best_first(database: Database, memory: Memory) -> None:
    thread = uuid.uuid4().hex
    first = database.write_now(
        said, ME, ["My cat is named Mia.", "A lovely name for a cat."], thread_id=thread
    )
    database.write_now(said, ME, ["The weather is nice.", "So it is."])
    database.write_now(said, ME, ["I work as a gardener in Oslo."], kind="nova")
    found = await memory.recall(ME, "What is the name of my cat?")
    assert {one.item_id for one in found} == {item.id for item in first}
    assert {one.role: one.text for one in found} == {
        "user": "My cat is named Mia.",
        "assistant": "A lovely name for a cat.",
    }
    assert {one.thread_id for one in found} == {thread}
    assert {one.found_by for one in found} == {"words"}
    assert found[0].score > found[1].score > 0
    assert found[0].created_at == first[0].created_at
    # Other forms of a word, and another door's.
    assert await texts(memory, "Which gardens are there in OSLO?") == [
        "I work as a gardener in Oslo."
    ]


async def test_rare_words_say_more_than_frequent_ones(database: Database, memory: Memory) -> None:
    for number in range(30):
        database.write_now(said, ME, [f"The capital of country {number} is a city."])
    database.write_now(said, ME, ["Wimbly is where I was born."])
    for number in range(30):
        database.write_now(said, ME, [f"Another capital, of land {number}."])
    assert (await texts(memory, "Is Wimbly a capital?"))[0] == "Wimbly is where I was born."


@pytest.mark.parametrize(
    "query",
    ["", " ", "the of and", '"', "'", '"cat', "cat)", "(cat", "cat:*", "NEAR(cat", "cat AND",
     "-cat", "text:cat", "item_words", "cat\0dog", "cat's", "\\", "%", "^cat", "{cat}", "* cat *",
     "cat | & ! dog", "🦜", "猫", "NOT", "a" * 5000, "' OR 1=1 --", "cat; DROP TABLE items",
     "\ud7ff"],
)  # fmt: skip
async def test_any_text_may_be_asked(database: Database, memory: Memory, query: str) -> None:
    database.write_now(said, ME, ["My cat is named Mia."])
    database.write_now(said, OTHER, ["Their cat is named Leo."])
    expected = ["My cat is named Mia."] if "cat" in words_of(query) else []
    assert await texts(memory, query) == expected


async def test_a_whole_page_may_be_asked_and_remembered(database: Database, memory: Memory) -> None:
    words = " ".join(f"word{number}" for number in range(60_000))
    database.write_now(said, ME, [words])
    assert await texts(memory, f"{words} again", limit=1) == [words]
    # The end of a question counts as much as its beginning.
    database.write_now(said, ME, ["My favourite colour is teal."])
    question = f"{' '.join(f'filler{n}' for n in range(3000))} favourite colour?"
    assert await texts(memory, question) == ["My favourite colour is teal."]


async def test_escapes_and_odd_characters_part_words(database: Database, memory: Memory) -> None:
    odd = 'first line\nsecond\tline "quoted" back\\slash mail@example.org a/path/f.txt é 猫 -17'
    database.write_now(said, ME, [odd])
    words = "second quoted slash back mail example path txt 猫 17"
    for word in words.split():
        assert await texts(memory, f"{word}?") == [odd], word
    assert await texts(memory, "nsecond tline") == []


async def test_letters_are_made_small_as_the_databases_make_them(
    database: Database, memory: Memory
) -> None:
    database.write_now(said, ME, ["Die Straße heißt Amselweg."])
    for word in ("Straße", "STRAßE", "heißt", "AMSELWEG"):
        assert await texts(memory, f"{word}?") == ["Die Straße heißt Amselweg."], word


async def test_nothing_of_another_owner_is_ever_found(database: Database, memory: Memory) -> None:
    thread = uuid.uuid4().hex
    (secret,) = database.write_now(said, OTHER, ["The password is swordfish."], thread_id=thread)
    database.write_now(said, ME, ["My password is long."], thread_id=thread)
    assert await texts(memory, "password swordfish") == ["My password is long."]
    assert await texts(memory, "swordfish", thread_key=secret.thread_key) == []
    assert [one.text for one in await memory.listed(ME)] == ["My password is long."]
    with pytest.raises(NotFound):
        await memory.erase(ME, secret.id)
    await memory.erase_all(ME)
    assert await texts(memory, "swordfish", OTHER) == ["The password is swordfish."]


async def test_others_who_say_the_same_do_not_hide_it(database: Database, memory: Memory) -> None:
    database.write_now(said, ME, ["My swordfish lives in the large pond behind the old house."])

    def others(connection: sa.Connection) -> None:
        for _ in range(520):
            said(connection, OTHER, ["Swordfish!"])

    database.write_now(others)
    assert len(await texts(memory, "swordfish")) == 1


async def test_what_an_application_keeps_for_its_users_is_nobodys_memory(
    database: Database, memory: Memory
) -> None:
    """Its threads are those of many people under one key."""
    database.write_now(
        said, ME, ["A secret of one user.", "Kept."], kind="assistant", assistant_id="asst_1"
    )

    def add(connection: sa.Connection) -> None:
        thread = store.create(connection, uuid.uuid4().hex, ME)
        store.add(connection, thread.key, [NewItem("message", "A secret.", role="user")])

    database.write_now(add)
    assert await texts(memory, "secret kept") == []
    assert await memory.listed(ME) == []


async def test_what_is_known_already_is_left_out(database: Database, memory: Memory) -> None:
    old, new = (
        database.write_now(said, ME, [text])[0] for text in ("Mia is a cat.", "Mia is grey.")
    )
    assert await texts(memory, "Who is Mia?", besides=[new.key]) == ["Mia is a cat."]
    assert await texts(memory, "Who is Mia?", thread_key=old.thread_key) == ["Mia is a cat."]
    assert len(await texts(memory, "Who is Mia?", limit=1)) == 1
    database.write_now(said, ME, ["Who is Mia?"])
    assert "Who is Mia?" not in await texts(memory, "who is  Mia")


async def test_the_index_follows_what_is_written_changed_and_deleted(
    database: Database, memory: Memory
) -> None:
    def begin(connection: sa.Connection) -> str:
        item = said(connection, ME, ["Tell me of owls.", ""])[1]
        values = {"status": "in_progress"}
        connection.execute(sa.update(items).where(items.c.key == item.key).values(values))
        return item.id

    item_id = database.write_now(begin)
    assert await texts(memory, "owls") == ["Tell me of owls."]
    database.write_now(store.end_item, item_id, "An owl hunts voles at night.")
    assert await texts(memory, "voles") == ["An owl hunts voles at night."]
    database.write_now(store.end_item, item_id, "An owl sleeps.")
    assert await texts(memory, "voles") == []
    # With its thread.
    database.write_now(lambda c: c.execute(sa.delete(threads)))
    assert await texts(memory, "owl owls") == []
    if database.is_sqlite:
        # Nothing is left behind that could point at what is gone.
        check = "INSERT INTO item_words(item_words) VALUES ('integrity-check')"
        database.write_now(lambda c: c.exec_driver_sql(check))
        found = "SELECT count(*) FROM item_words WHERE item_words MATCH 'owl OR sleeps OR voles'"
        assert database.read_now(lambda c: c.exec_driver_sql(found).scalar()) == 0


async def test_what_is_erased_is_never_found_again(database: Database, memory: Memory) -> None:
    one, answer = database.write_now(said, ME, ["I like figs.", "You like figs."])
    await memory.erase(ME, one.id)
    assert await texts(memory, "figs") == ["You like figs."]
    assert [left.item_id for left in await memory.listed(ME)] == [answer.id]
    with pytest.raises(NotFound, match="No memory"):
        await memory.erase(ME, one.id)
    with pytest.raises(NotFound):
        await memory.erase(ME, "msg_none")
    # It still stands where it was said.
    assert database.read_now(store.get_item, one.thread_key, one.id) is not None
    assert await memory.erase_all(ME) == 1
    assert await memory.erase_all(ME) == 0
    assert await texts(memory, "figs") == []
    # What is said from now on is remembered.
    database.write_now(said, ME, ["I like figs and dates."])
    assert await texts(memory, "figs") == ["I like figs and dates."]


async def test_all_of_it_can_be_seen_page_by_page(database: Database, memory: Memory) -> None:
    one, two = uuid.uuid4().hex, uuid.uuid4().hex
    for number in range(7):
        thread = one if number % 2 else two
        database.write_now(said, ME, [f"q{number}", f"a{number}"], thread_id=thread)
        database.write_now(said, OTHER, ["not this"])
    seen: list[str] = []
    after = None
    while page := await memory.listed(ME, limit=3, after=after):
        seen += [item.text for item in page]
        after = page[-1].item_id
    assert seen == [f"{role}{number}" for number in range(6, -1, -1) for role in "aq"]
    # One that is gone is no end of the list.
    with pytest.raises(InvalidRequest, match="'after'"):
        await memory.listed(ME, after="msg_none")


async def test_a_restored_backup_is_found_and_stays_erased(
    database: Database, memory: Memory, tmp_path: Path
) -> None:
    gone, _ = database.write_now(said, ME, ["I was born in Oslo.", "Oslo is in Norway."])
    await memory.erase(ME, gone.id)
    with BackupWriter(tmp_path / "one.zip") as writer:
        database.read_now(back_up, writer)
    database.write_now(said, ME, ["Lima is where I live now."])
    with BackupFile(tmp_path / "one.zip") as file:
        restore(database, file, tmp_path / "backups")
    assert await texts(memory, "Oslo Lima") == ["Oslo is in Norway."]
    database.write_now(said, ME, ["Oslo again."])
    assert len(await texts(memory, "Oslo")) == 2


async def test_older_data_is_found_after_its_upgrade(tmp_path: Path, nothing: Registry) -> None:
    with opened(None, tmp_path, empty=True) as older:
        older.rebuild_now(SCHEMA.migrate, "0002")
        older.write_now(said, ME, ["My boat is called Nixe."])
        older.rebuild_now(SCHEMA.migrate, "head")
        assert await texts(Memory(older, nothing), "boat?") == ["My boat is called Nixe."]
        older.write_now(lambda c: c.execute(sa.delete(threads)))
        assert await texts(Memory(older, nothing), "boat?") == []


def test_postgresql_takes_what_a_search_says_for_what_its_index_holds(database: Database) -> None:
    if database.is_sqlite:
        return

    def plan(connection: sa.Connection) -> str:
        # A table of no rows is read faster in any other way.
        for off, on in (("enable_seqscan", "off"), ("enable_bitmapscan", "on")):
            connection.execute(sa.text(f"SET LOCAL {off} = {on}"))
        away = connection.begin_nested()
        connection.execute(sa.text("DROP INDEX ix_items_run_id"))
        asked = (
            f"EXPLAIN SELECT 1 FROM items WHERE {postgres_words('items.content')} @@ "
            "to_tsquery('simple'::regconfig, 'cat') AND kind = 'message' "
            "AND run_id IS NOT NULL AND assistant_id IS NULL"
        )
        shown = "\n".join(connection.exec_driver_sql(asked).scalars())
        away.rollback()
        return shown

    shown = database.write_now(plan)
    assert "on ix_items_words" in shown
    assert "Index Cond: (to_tsvector(" in shown
