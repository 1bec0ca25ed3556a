"""Lists: OpenAI's envelope, and a strict order that neither skips nor repeats."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.assistants.asking import TOOL, USAGE, Asker, calls_stream
from tests.servers.answers import openai_stream

COUNT = 7
Listed = tuple[str, list[str]]


def _messages(asker: Asker) -> Listed:
    thread_id = asker.thread(*(f"m{number}" for number in range(COUNT)))
    path = f"/threads/{thread_id}/messages"
    return path, [row["id"] for row in asker.get(f"{path}?order=asc")["data"]]


def _runs(asker: Asker) -> Listed:
    asker.door.answers(openai_stream(["a"], usage=USAGE))
    assistant_id, thread_id = asker.assistant(), asker.thread("Hi.")
    made = [asker.run(thread_id, assistant_id)["id"] for _ in range(COUNT)]
    return f"/threads/{thread_id}/runs", made


def _steps(asker: Asker) -> Listed:
    calls = [calls_stream() for _ in range(COUNT - 1)]
    asker.door.answers(*calls, openai_stream(["18"], usage=USAGE))
    run = asker.run(asker.thread("Weather?"), asker.assistant(tools=[TOOL]))
    made = []
    while run["status"] == "requires_action":
        made.append(asker.get(f"{asker.path(run)}/steps?limit=1")["data"][0]["id"])
        run = asker.submit(run, {"call_1": "18"})
    path = f"{asker.path(run)}/steps"
    return path, [*made, asker.get(f"{path}?limit=1")["data"][0]["id"]]


def _assistants(asker: Asker) -> Listed:
    made = [asker.assistant(name=f"a{number}") for number in range(COUNT)]
    # The server has others; those come before in time, and so behind by default.
    return "/assistants", made


LISTS: dict[str, Callable[[Asker], Listed]] = {
    "messages": _messages,
    "runs": _runs,
    "steps": _steps,
    "assistants": _assistants,
}


def walk(asker: Asker, path: str, **query: object) -> list[str]:
    """The ids of all pages, each begun behind the last id of the one before it."""
    found: list[str] = []
    after: dict[str, object] = {}
    while True:
        asked = "&".join(f"{name}={value}" for name, value in {**query, **after}.items())
        page = asker.get(f"{path}?{asked}")
        ids = [row["id"] for row in page["data"]]
        envelope(page)
        found += ids
        if not page["has_more"]:
            return found
        after = {"after": page["last_id"]}


def envelope(page: dict[str, Any]) -> None:
    ids = [row["id"] for row in page["data"]]
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    assert page["object"] == "list"
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize("kind", LISTS)
def test_rows_of_one_second_are_neither_skipped_nor_repeated(asker: Asker, kind: str) -> None:
    path, ids = LISTS[kind](asker)
    alone = kind != "assistants"
    for limit in (1, 2, 3, COUNT, 100):
        down = walk(asker, path, limit=limit)
        assert down[:COUNT] == ids[::-1]
        assert len(set(down)) == len(down)
        up = walk(asker, path, limit=limit, order="asc")
        assert up[-COUNT:] == ids
        assert not alone or (up == ids and down == ids[::-1])


@pytest.mark.parametrize("kind", LISTS)
def test_a_page_lies_between_its_cursors(asker: Asker, kind: str) -> None:
    path, ids = LISTS[kind](asker)

    def page(query: str) -> tuple[list[str], bool]:
        found = asker.get(f"{path}?{query}")
        envelope(found)
        return [row["id"] for row in found["data"]], found["has_more"]

    down = ids[::-1]
    assert page(f"limit=2&after={down[1]}") == (down[2:4], True)
    assert page(f"limit=2&before={down[3]}") == (down[1:3], True)
    assert page(f"limit=3&before={down[3]}") == (down[0:3], False)
    assert page(f"after={down[0]}&before={down[3]}") == (down[1:3], False)
    assert page(f"limit=1&after={down[0]}&before={down[3]}") == (down[1:2], True)
    assert page(f"order=asc&limit=2&before={ids[6]}") == (ids[4:6], True)
    assert page(f"order=asc&after={ids[4]}") == (ids[5:], False)
    assert page(f"before={down[0]}") == ([], False)


@pytest.mark.parametrize("kind", LISTS)
def test_a_cursor_that_is_not_in_the_list_is_a_400(asker: Asker, kind: str) -> None:
    path, _ = LISTS[kind](asker)
    _, others = LISTS["messages"](asker)
    for name in ("after", "before"):
        for cursor in ("nothing", others[0]):
            assert asker.refused("GET", f"{path}?{name}={cursor}")["param"] == name
    for query in ("limit=0", "limit=101", "limit=x", "limit=-1", "limit=1e2", "order=up"):
        name = query.partition("=")[0]
        assert asker.refused("GET", f"{path}?{query}", status=422)["param"] == name


def test_without_a_limit_there_are_twenty_newest_first(asker: Asker) -> None:
    thread_id = asker.thread(*(str(number) for number in range(25)))
    page = asker.get(f"/threads/{thread_id}/messages")
    said = [row["content"][0]["text"]["value"] for row in page["data"]]
    assert said == [str(number) for number in range(24, 4, -1)]
    assert page["has_more"]


def test_an_empty_list_has_no_ids(asker: Asker) -> None:
    page = asker.get(f"/threads/{asker.thread()}/messages")
    assert page == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_messages_are_filtered_by_the_run_that_made_them(asker: Asker) -> None:
    asker.door.answers(openai_stream(["one"]), openai_stream(["two"]))
    assistant_id, thread_id = asker.assistant(), asker.thread("Hi.")
    first = asker.run(thread_id, assistant_id)
    asker.run(thread_id, assistant_id)
    path = f"/threads/{thread_id}/messages"
    (row,) = asker.get(f"{path}?run_id={first['id']}")["data"]
    assert row["content"][0]["text"]["value"] == "one"
    assert (row["run_id"], row["assistant_id"]) == (first["id"], assistant_id)
    assert asker.get(f"{path}?run_id=run_0")["data"] == []
    assert len(asker.get(path)["data"]) == 3
