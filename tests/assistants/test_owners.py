"""Behind keys everything belongs to the key that made it; another's is not there at all."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.assistants.asking import USAGE, Asker
from tests.http.doors import Door, open_door
from tests.servers.answers import openai_stream

KEYS = ("first-key-0123456789abcdef", "other-key-0123456789abcdef")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    settings = {"NOVA_API_KEYS": ",".join(KEYS)}
    with open_door(tmp_path_factory.mktemp("locked"), settings) as opened:
        yield opened


def as_owner(door: Door, key: str) -> Asker:
    return Asker(door, {"authorization": f"Bearer {key}"})


def test_another_owner_s_rows_do_not_exist(locked: Door) -> None:
    mine, other = (as_owner(locked, key) for key in KEYS)
    locked.answers(openai_stream(["a"], usage=USAGE))
    thread_id, assistant_id = mine.thread("Hi."), mine.assistant()
    run = mine.run(thread_id, assistant_id)
    (step,) = mine.get(f"{mine.path(run)}/steps")["data"]
    message = mine.get(f"/threads/{thread_id}/messages")["data"][0]
    change: dict[str, Any] = {"metadata": {}}
    refused: list[tuple[str, str, Any]] = [
        ("GET", f"/assistants/{assistant_id}", None),
        ("POST", f"/assistants/{assistant_id}", change),
        ("DELETE", f"/assistants/{assistant_id}", None),
        ("GET", f"/threads/{thread_id}", None),
        ("POST", f"/threads/{thread_id}", change),
        ("DELETE", f"/threads/{thread_id}", None),
        ("GET", f"/threads/{thread_id}/messages", None),
        ("POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "Hi."}),
        ("GET", f"/threads/{thread_id}/messages/{message['id']}", None),
        ("POST", f"/threads/{thread_id}/messages/{message['id']}", change),
        ("DELETE", f"/threads/{thread_id}/messages/{message['id']}", None),
        ("GET", f"/threads/{thread_id}/runs", None),
        ("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id}),
        ("GET", mine.path(run), None),
        ("GET", f"{mine.path(run)}?stream=true", None),
        ("POST", mine.path(run), change),
        ("POST", f"{mine.path(run)}/cancel", None),
        ("POST", f"{mine.path(run)}/submit_tool_outputs",
         {"tool_outputs": [{"tool_call_id": "call_1", "output": "18"}]}),
        ("GET", f"{mine.path(run)}/steps", None),
        ("GET", f"{mine.path(run)}/steps/{step['id']}", None),
    ]  # fmt: skip
    absent = "thread_" + 32 * "0"
    for method, path, body in refused:
        error = other.refused(method, path, body, 404)
        if thread_id in path:
            # Word for word as for one that never was.
            never = other.refused(method, path.replace(thread_id, absent), body, 404)
            assert error == {**never, "message": never["message"].replace(absent, thread_id)}
    # An assistant of one's own does not open another's thread, nor the other way round.
    own = other.assistant()
    body = {"assistant_id": own}
    assert other.refused("POST", f"/threads/{thread_id}/runs", body, 404)["param"] == "thread_id"
    body = {"assistant_id": assistant_id}
    path = f"/threads/{other.thread('Hi.')}/runs"
    assert other.refused("POST", path, body, 404)["param"] == "assistant_id"
    other.refused("POST", "/threads/runs", body, 404)
    assert [row["id"] for row in other.get("/assistants")["data"]] == [own]
    assert other.refused("GET", f"/assistants?after={assistant_id}")["param"] == "after"
    assert mine.get(mine.path(run)) == run
    assert len(mine.texts(thread_id)) == 2


def test_without_a_key_there_is_nothing(locked: Door) -> None:
    answer = Asker(locked).ask("GET", "/assistants")
    assert answer.status == 401
    assert answer.json["error"]["code"] == "invalid_api_key"
