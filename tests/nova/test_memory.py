"""What was said earlier is found again: by words, by meaning, for its owner alone."""

import itertools
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from novasystem.engines.kinds import build_registry
from novasystem.engines.registry import Registry
from novasystem.errors import InvalidRequest, NotFound
from novasystem.nova.memory import Memory
from novasystem.nova.memory.meaning import nearest, packed
from novasystem.nova.memory.store import Vector
from novasystem.nova.memory.words import words_of
from novasystem.settings import EngineSettings, Settings
from novasystem.storage.backup import back_up
from novasystem.storage.database import Database
from novasystem.storage.full_text import postgres_words
from novasystem.storage.portable import BackupFile, BackupWriter
from novasystem.storage.restore import restore
from novasystem.storage.schema import SCHEMA
from novasystem.storage.tables import items, memory_vectors, threads
from novasystem.threads import store
from novasystem.threads.records import NewItem
from tests.nova.said import said
from tests.servers.answers import Step, json_answer
from tests.servers.scripted import ScriptedServer, Seen
from tests.storage.databases import address, database, on_postgres, postgres_address
from tests.storage.filled import opened

__all__ = ["address", "database", "on_postgres", "postgres_address"]

ME, OTHER = "owner_me", "owner_other"


def engines(**given: Any) -> Registry:
    return build_registry(Settings(embedded="off", ollama_url="off", **given), {})


@pytest.fixture
async def nothing() -> AsyncIterator[Registry]:
    """No engine at all: words need none."""
    registry = engines()
    yield registry
    await registry.aclose()


@pytest.fixture
def memory(database: Database, nothing: Registry) -> Memory:
    return Memory(database, nothing)


async def texts(memory: Memory, query: str, owner: str = ME, **more: Any) -> list[str]:
    return [found.text for found in await memory.recall(owner, query, **more)]


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


# What the scripted model takes words to mean: places on three axes.
AXES = (("cat", "kitten", "pet", "feline"), ("car", "vehicle", "bus"), ("rain", "weather", "sun"))


def meaning(text: str) -> list[float]:
    return [float(sum(word in text.lower() for word in axis)) for axis in AXES]


def embeds(scripted: ScriptedServer, refuse: str = "never said", limit: int | None = None) -> None:
    """``limit``: how many requests it answers before it is out of order."""
    asked = itertools.count(1)

    def answer(seen: Seen) -> Sequence[Step]:
        given = seen.json["input"]
        given = [given] if isinstance(given, str) else given
        if limit is not None and next(asked) > limit:
            return json_answer(200, {"object": "list", "data": []})
        if any(refuse in text for text in given):
            return json_answer(400, {"error": {"message": "one of them is too odd"}})
        data = [{"index": n, "embedding": meaning(text)} for n, text in enumerate(given)]
        return json_answer(200, {"object": "list", "data": data, "usage": {"prompt_tokens": 1}})

    scripted.on("GET", "/v1/models", json_answer(200, {"data": [{"id": "meanings"}]}))
    scripted.asks("POST", "/v1/embeddings", answer)


@pytest.fixture
async def scripted_engines(scripted: ScriptedServer) -> AsyncIterator[Registry]:
    given = EngineSettings(kind="openai", addresses=(f"{scripted.url}/v1",), flavour="openai")
    registry = engines(engines={"there": given})
    yield registry
    await registry.aclose()


async def test_what_means_the_same_is_found_without_its_words(
    database: Database, scripted: ScriptedServer, scripted_engines: Registry
) -> None:
    embeds(scripted)
    memory = Memory(database, scripted_engines, "meanings")
    database.write_now(said, ME, ["I feed my kitten at noon.", "My vehicle is red."])
    database.write_now(said, OTHER, ["Their feline sleeps."])
    found = await memory.recall(ME, "When does the cat eat?")
    assert [(one.text, one.found_by) for one in found] == [("I feed my kitten at noon.", "meaning")]
    # What both ways find comes before what one of them finds.
    database.write_now(said, ME, ["A pet eats.", "Cats eat fish."])
    found = await memory.recall(ME, "When does the cat eat?")
    assert (found[0].text, found[0].found_by) == ("Cats eat fish.", "both")
    assert "Their feline sleeps." not in [one.text for one in found]
    # Each message was read once.
    read = [text for seen in scripted.seen if "embeddings" in seen.path
            for text in ([seen.json["input"]] if isinstance(seen.json["input"], str)
                         else seen.json["input"])]  # fmt: skip
    assert sorted(read).count("I feed my kitten at noon.") == 1
    # What is erased leaves nothing to be found by.
    (first, *_) = [one for one in await memory.listed(ME) if "kitten" in one.text]
    await memory.erase(ME, first.item_id)
    assert "I feed my kitten at noon." not in await texts(memory, "cat")
    left = database.read_now(lambda c: c.scalar(sa.select(sa.func.count(memory_vectors.c.model))))
    assert left == 3


async def test_one_text_that_a_model_refuses_does_not_keep_it_from_others(
    database: Database, scripted: ScriptedServer, scripted_engines: Registry
) -> None:
    embeds(scripted, refuse="odd")
    memory = Memory(database, scripted_engines, "meanings")
    database.write_now(said, ME, ["An odd kitten.", "Such a pet!"])
    assert await texts(memory, "my cat") == ["Such a pet!"]
    before = len(scripted.seen)
    assert await texts(memory, "my feline") == ["Such a pet!"]
    assert len(scripted.seen) == before + 1, "it is not tried again"


async def test_a_slow_model_gets_further_with_every_recall(
    database: Database, scripted: ScriptedServer, scripted_engines: Registry
) -> None:
    """It breaks down when it has read four messages, and so it does the next time."""
    embeds(scripted, limit=2)
    memory = Memory(database, scripted_engines, "meanings")
    for number in range(8):
        database.write_now(said, ME, [f"Kitten {number}."])
    assert len(await texts(memory, "my cat", limit=9)) == 4
    embeds(scripted, limit=2)
    assert len(await texts(memory, "my feline", limit=9)) == 8


async def test_a_model_that_is_not_there_is_done_without(
    database: Database, scripted: ScriptedServer, scripted_engines: Registry
) -> None:
    database.write_now(said, ME, ["I feed my cat at noon."])
    scripted.on("GET", "/v1/models", json_answer(200, {"data": []}))
    assert await texts(Memory(database, scripted_engines, "gone"), "cat") == [
        "I feed my cat at noon."
    ]
    scripted.on("GET", "/v1/models", json_answer(200, {"data": [{"id": "broken"}]}))
    scripted.on("POST", "/v1/embeddings", json_answer(500, {"error": {"message": "no"}}))
    assert await texts(Memory(database, scripted_engines, "there/broken"), "cat") == [
        "I feed my cat at noon."
    ]


def test_vectors_are_compared_by_their_angle() -> None:
    among = [Vector(1, packed([2, 0])), Vector(2, packed([3, 3])), Vector(3, packed([0, 1])),
             Vector(4, b""), Vector(5, packed([1, 0, 0])), Vector(6, packed([5, 0]))]  # fmt: skip
    # The newer one of two that are alike; one at a right angle, of no or another length not at all.
    assert nearest(packed([1, 0]), among, 9) == [6, 1, 2]
    assert nearest(packed([1, 0]), among, 1) == [6]
    assert packed([0, 0]) == packed([float("nan"), 1]) == b""
    assert nearest(b"", among, 9) == []
