"""What is refused: 422 where it does not fit, 400 where it cannot be done, 404 for the absent."""

from typing import Any

import pytest

from tests.assistants.asking import TOOL, USAGE, Asker
from tests.servers.answers import openai_stream

_LONG = {
    "name": "n" * 257,
    "description": "d" * 513,
    "instructions": "i" * 256_001,
    "tools": [TOOL] * 129,
    "metadata": {f"k{n}": "v" for n in range(17)},
    "temperature": 2.1,
    "top_p": 1.1,
    "model": "",
}


@pytest.mark.parametrize("name", _LONG)
def test_a_field_over_its_limit_is_a_422_that_names_it(asker: Asker, name: str) -> None:
    body = {"model": "scripted", name: _LONG[name]}
    assert asker.refused("POST", "/assistants", body, 422)["param"].startswith(name)
    path = f"/assistants/{asker.assistant()}"
    assert asker.refused("POST", path, {name: _LONG[name]}, 422)["param"].startswith(name)


@pytest.mark.parametrize("metadata", [{"k" * 65: "v"}, {"k": "v" * 513}, {"k": 1}, ["k"]], ids=str)
def test_metadata_has_limits_everywhere(asker: Asker, metadata: object) -> None:
    asker.door.answers(openai_stream(["a"], usage=USAGE))
    assistant_id, thread_id = asker.assistant(), asker.thread("Hi.")
    run = asker.run(thread_id, assistant_id)
    message = asker.get(f"/threads/{thread_id}/messages")["data"][0]
    given = {"metadata": metadata}
    said = {"role": "user", "content": "Hi.", **given}
    for path, body in (
        ("/assistants", {"model": "scripted", **given}),
        (f"/assistants/{assistant_id}", given),
        ("/threads", given),
        ("/threads", {"messages": [said]}),
        (f"/threads/{thread_id}", given),
        (f"/threads/{thread_id}/messages", said),
        (f"/threads/{thread_id}/messages/{message['id']}", given),
        (f"/threads/{thread_id}/runs", {"assistant_id": assistant_id, **given}),
        (asker.path(run), given),
        ("/threads/runs", {"assistant_id": assistant_id, "thread": given}),
    ):
        assert "metadata" in asker.refused("POST", path, body, 422)["param"], path


_NOT_OFFERED: dict[str, Any] = {
    "tools": [{"type": "file_search", "file_search": {"max_num_results": 3}}],
    "tool_resources": {"file_search": {"vector_store_ids": ["vs_1"]}},
    "reasoning_effort": "high",
    "no_such_thing": 1,
}


@pytest.mark.parametrize("name", _NOT_OFFERED)
def test_what_cannot_be_honoured_is_a_400_that_names_it(asker: Asker, name: str) -> None:
    value = _NOT_OFFERED[name]
    assistant_id, thread_id = asker.assistant(), asker.thread("Hi.")
    paths = [
        ("/assistants", {"model": "scripted", name: value}),
        (f"/assistants/{assistant_id}", {name: value}),
        ("/threads/runs", {"assistant_id": assistant_id, name: value}),
    ]
    if name != "tool_resources":
        paths.append((f"/threads/{thread_id}/runs", {"assistant_id": assistant_id, name: value}))
    if name != "tools":
        paths += [("/threads", {name: value}), (f"/threads/{thread_id}", {name: value})]
        paths.append(("/threads/runs", {"assistant_id": assistant_id, "thread": {name: value}}))
    for path, body in paths:
        error = asker.refused("POST", path, body)
        assert name in error["param"], path
        assert error["code"] == "unsupported_parameter"
        # null asks for nothing.
        if name != "tools" and path == "/assistants":
            asker.post(path, {**body, name: None}, 201)
    assert asker.get(f"/threads/{thread_id}/runs")["data"] == []
    if name == "tools":
        search = asker.refused("POST", *paths[0])["message"]
        assert "file_search" in search
        body = {"model": "scripted", "tools": [{"type": "code_interpreter"}]}
        assert "code_interpreter" in asker.refused("POST", "/assistants", body)["message"]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"role": "system", "content": "Hi."}, 422),
        ({"role": "user"}, 422),
        ({"role": "user", "content": ""}, 422),
        ({"role": "user", "content": []}, 422),
        ({"role": "user", "content": [{"type": "text"}]}, 400),
        ({"role": "user", "content": [{"type": "image_file", "image_file": {}}]}, 400),
        ({"role": "user", "content": "x", "attachments": [{"file_id": "file_1"}]}, 400),
        ({"role": "user", "content": "x", "name": "Anna"}, 400),
        ({"role": "user", "content": "x" * 400_001}, 422),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_message_that_cannot_be_taken_is_not_stored(
    asker: Asker, message: dict[str, Any], status: int
) -> None:
    assistant_id, thread_id = asker.assistant(), asker.thread()
    asker.refused("POST", f"/threads/{thread_id}/messages", message, status)
    asker.refused("POST", "/threads", {"messages": [message]}, status)
    body = {"assistant_id": assistant_id, "additional_messages": [message]}
    asker.refused("POST", f"/threads/{thread_id}/runs", body, status)
    assert asker.texts(thread_id) == []
    assert asker.get(f"/threads/{thread_id}/runs")["data"] == []


def test_what_is_not_there_is_a_404_in_the_envelope(asker: Asker) -> None:
    thread_id, other_id = asker.thread("Hi."), asker.thread("Hi.")
    asker.door.answers(openai_stream(["a"], usage=USAGE))
    run = asker.run(thread_id, asker.assistant())
    elsewhere = {**run, "thread_id": other_id}
    message = asker.get(f"/threads/{thread_id}/messages")["data"][0]
    absent = "thread_" + 32 * "0"
    for path in (
        "/assistants/asst_0",
        f"/threads/{absent}",
        "/threads/x",
        f"/threads/{thread_id.removeprefix('thread_')}",
        f"/threads/{absent}/messages",
        f"/threads/{thread_id}/messages/msg_0",
        f"/threads/{other_id}/messages/{message['id']}",
        f"/threads/{absent}/runs",
        f"/threads/{thread_id}/runs/run_0",
        asker.path(elsewhere),
        f"{asker.path(elsewhere)}/steps",
        f"{asker.path(run)}/steps/step_0",
    ):
        error = asker.refused("GET", path, status=404)
        assert error["code"] == "not_found", path
        assert error["message"].startswith("No "), path
    for method, path in (
        ("POST", f"{asker.path(elsewhere)}/cancel"),
        ("POST", f"/threads/{absent}"),
        ("DELETE", f"/threads/{absent}"),
    ):
        asker.refused(method, path, {"metadata": {}}, 404)
    assert asker.ask("GET", "/threads/a/b/c").status == 404


def test_a_malformed_request_is_a_422_and_an_unknown_query_a_400(asker: Asker) -> None:
    assert asker.refused("POST", "/assistants", {}, 422)["param"] == "model"
    asker.refused("POST", "/assistants", b"{", 422)
    asker.refused("POST", "/assistants", b"[]", 422)
    path = f"/threads/{asker.thread()}"
    assert asker.refused("GET", f"{path}?a=b")["param"] == "a"
    assert asker.refused("GET", f"{path}/messages?page=2")["param"] == "page"
    assert asker.refused("POST", f"{path}/runs", {}, 422)["param"] == "assistant_id"
