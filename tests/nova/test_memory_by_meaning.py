"""What was said earlier is found again by its meaning, through a model that embeds."""

import itertools
from collections.abc import AsyncIterator, Sequence

import pytest
import sqlalchemy as sa

from novasystem.engines.registry import Registry
from novasystem.nova.memory import Memory
from novasystem.nova.memory.meaning import nearest, packed
from novasystem.nova.memory.store import Vector
from novasystem.settings import EngineSettings
from novasystem.storage.database import Database
from novasystem.storage.tables import memory_vectors
from tests.nova.recalling import ME, OTHER, engines, texts
from tests.nova.said import said
from tests.servers.answers import Step, json_answer
from tests.servers.scripted import ScriptedServer, Seen
from tests.storage.databases import address, database, on_postgres, postgres_address

__all__ = ["address", "database", "on_postgres", "postgres_address"]


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
