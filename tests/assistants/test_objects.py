"""Assistants, threads and messages: every field, changed and deleted."""

import json
import time
from typing import Any

from tests.assistants.asking import TOOL, USAGE, Asker, calls_stream
from tests.http.wire import ask
from tests.servers.answers import Stall, openai_stream

ASSISTANT = {
    "id", "object", "created_at", "name", "description", "model", "instructions", "tools",
    "metadata", "tool_resources", "temperature", "top_p", "response_format",
}  # fmt: skip


MESSAGE = {
    "id", "object", "created_at", "thread_id", "status", "incomplete_details", "completed_at",
    "incomplete_at", "role", "content", "assistant_id", "run_id", "attachments", "metadata",
    "token_count", "token_count_exact",
}  # fmt: skip


THREAD = {"id", "object", "created_at", "tool_resources", "metadata"}


SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}


def test_an_assistant_has_every_field_and_is_kept_as_given(asker: Asker) -> None:
    before = int(time.time())
    bare = asker.post("/assistants", {"model": "scripted"}, 201)
    assert set(bare) == ASSISTANT
    assert bare["object"] == "assistant"
    assert before <= bare["created_at"] <= time.time()
    assert bare["id"].startswith("asst_")
    nothing = ("name", "description", "instructions", "temperature", "top_p", "tool_resources")
    assert all(bare[name] is None for name in nothing)
    assert (bare["tools"], bare["metadata"], bare["response_format"]) == ([], {}, "auto")
    given: dict[str, Any] = {
        "model": "gpt-4",
        "name": "n" * 256,
        "description": "d" * 512,
        "instructions": "i" * 256_000,
        "tools": [TOOL],
        "metadata": {f"k{n}".ljust(64, "k"): "v" * 512 for n in range(16)},
        "temperature": 0,
        "top_p": 0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "sum", "schema": SCHEMA, "strict": True},
        },
        "tool_resources": {"code_interpreter": {"file_ids": []}},
    }
    made = asker.post("/assistants", given, 201)
    assert {name: made[name] for name in given} == given
    assert asker.get(f"/assistants/{made['id']}") == made


def test_an_update_changes_what_it_gives_and_nothing_else(asker: Asker) -> None:
    fields = {"name": "a", "temperature": 0.5, "tools": [TOOL], "metadata": {"a": "b"}}
    assistant_id = asker.assistant(instructions="Be brief.", **fields)
    path = f"/assistants/{assistant_id}"
    before = asker.get(path)
    assert asker.post(path, {}) == before
    after = asker.post(path, {"temperature": 0, "name": None, "metadata": {"c": "d"}})
    assert after == {**before, "temperature": 0, "name": None, "metadata": {"c": "d"}}
    assert asker.get(path) == after
    assert asker.post(path, {"tools": None, "metadata": None})["tools"] == []
    assert asker.get(path)["metadata"] == {}
    assert asker.refused("POST", path, {"model": None}, 422)["param"] == "model"


def test_a_deleted_assistant_leaves_its_threads_and_runs(asker: Asker) -> None:
    asker.door.answers(openai_stream(["a"], usage=USAGE))
    assistant_id, thread_id = asker.assistant(), asker.thread("Hi.")
    run = asker.run(thread_id, assistant_id)
    answer = asker.ask("DELETE", f"/assistants/{assistant_id}")
    assert (answer.status, answer.json) == (
        200,
        {"id": assistant_id, "object": "assistant.deleted", "deleted": True},
    )
    for method in ("GET", "POST", "DELETE"):
        sent: Any = {} if method == "POST" else None
        error = asker.refused(method, f"/assistants/{assistant_id}", sent, 404)
        assert assistant_id in error["message"]
    assert asker.get(asker.path(run)) == run
    assert len(asker.texts(thread_id)) == 2
    body = {"assistant_id": assistant_id}
    error = asker.refused("POST", f"/threads/{thread_id}/runs", body, 404)
    assert error["param"] == "assistant_id"
    asker.refused("POST", "/threads/runs", body, 404)


def test_a_thread_is_made_read_changed_and_deleted(asker: Asker) -> None:
    # The simplest walk sends nothing at all.
    bare = asker.ask("POST", "/threads")
    assert bare.status == 201
    assert set(bare.json) == THREAD
    assert (bare.json["metadata"], bare.json["tool_resources"]) == ({}, None)
    thread_id = bare.json["id"]
    assert thread_id.startswith("thread_")
    assert asker.get(f"/threads/{thread_id}") == bare.json
    changed = asker.post(f"/threads/{thread_id}", {"metadata": {"a": "b"}})
    assert changed == {**bare.json, "metadata": {"a": "b"}}
    assert asker.post(f"/threads/{thread_id}", {}) == changed
    deleted = asker.ask("DELETE", f"/threads/{thread_id}").json
    assert deleted == {"id": thread_id, "object": "thread.deleted", "deleted": True}
    asker.refused("GET", f"/threads/{thread_id}", status=404)


def test_a_deleted_thread_takes_everything_with_it(asker: Asker) -> None:
    asker.door.answers(openai_stream(["a"], usage=USAGE))
    thread_id = asker.thread("Hi.")
    run = asker.run(thread_id, asker.assistant())
    (step,) = asker.get(f"{asker.path(run)}/steps")["data"]
    message = asker.get(f"/threads/{thread_id}/messages")["data"][0]
    assert asker.ask("DELETE", f"/threads/{thread_id}").status == 200
    for path in (
        f"/threads/{thread_id}/messages",
        f"/threads/{thread_id}/messages/{message['id']}",
        f"/threads/{thread_id}/runs",
        asker.path(run),
        f"{asker.path(run)}?stream=true",
        f"{asker.path(run)}/steps",
        f"{asker.path(run)}/steps/{step['id']}",
    ):
        asker.refused("GET", path, status=404)
    body = {"role": "user", "content": "Hi."}
    asker.refused("POST", f"/threads/{thread_id}/messages", body, 404)


def test_a_thread_is_deleted_under_an_active_run(asker: Asker) -> None:
    whole = openai_stream(["a"], finish=None, done=False)
    asker.door.answers([*whole[:-1], Stall()])
    thread_id = asker.thread("Hi.")
    run = asker.start(thread_id, asker.assistant())
    asker.door.upstream.wait_for(lambda _: asker.door.asked, 30)
    assert asker.ask("DELETE", f"/threads/{thread_id}").status == 200
    asker.door.upstream.wait_for(lambda _: asker.door.asked[0].client_left_at_ns, 30)
    asker.refused("GET", asker.path(run), status=404)


def test_a_message_has_every_field(asker: Asker) -> None:
    thread_id = asker.thread()
    path = f"/threads/{thread_id}/messages"
    said = asker.post(path, {"role": "user", "content": "Hi.", "metadata": {"a": "b"}}, 201)
    assert set(said) == MESSAGE
    assert said["content"] == [{"type": "text", "text": {"value": "Hi.", "annotations": []}}]
    assert (said["status"], said["role"], said["thread_id"]) == ("completed", "user", thread_id)
    assert said["completed_at"] == said["created_at"]
    assert said["token_count"] >= 1
    assert said["token_count_exact"] is False, "no engine has counted it"
    assert asker.get(f"{path}/{said['id']}") == said
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    asker.post(path, {"role": "assistant", "content": parts}, 201)
    assert asker.texts(thread_id) == [("user", "Hi."), ("assistant", "one two")]
    changed = asker.post(f"{path}/{said['id']}", {"metadata": {"c": "d"}})
    assert changed == {**said, "metadata": {"c": "d"}}
    assert asker.ask("DELETE", f"{path}/{said['id']}").json == {
        "id": said["id"],
        "object": "thread.message.deleted",
        "deleted": True,
    }
    asker.refused("GET", f"{path}/{said['id']}", status=404)
    assert asker.texts(thread_id) == [("assistant", "one two")]


def test_a_deleted_message_is_not_shown_to_the_model(asker: Asker) -> None:
    asker.door.answers(openai_stream(["a"], usage=USAGE))
    thread_id = asker.thread("secret", "Hi.")
    secret = asker.get(f"/threads/{thread_id}/messages?order=asc")["data"][0]
    assert asker.ask("DELETE", f"/threads/{thread_id}/messages/{secret['id']}").status == 200
    asker.run(thread_id, asker.assistant())
    assert [m["content"] for m in asker.door.asked[0].json["messages"]] == ["Hi."]


def test_a_conversation_of_the_chat_door_is_a_thread(asker: Asker) -> None:
    asker.door.answers(openai_stream(["Hello"], usage=USAGE))
    given = "6f1c1f5e-0a4b-4d0e-9d3c-6b1f0e0f5a99"
    body = {"message": "Hi.", "conversation_id": given}
    assert ask(asker.door.port, "POST", "/api/v1/chat", body).status == 200
    thread_id = "thread_" + given.replace("-", "")
    assert asker.texts(thread_id) == [("user", "Hi."), ("assistant", "Hello")]
    # The door's own runs are none of an assistant's.
    assert asker.get(f"/threads/{thread_id}/runs")["data"] == []
    rows = asker.get(f"/threads/{thread_id}/messages")["data"]
    assert all(row["run_id"] is None and row["assistant_id"] is None for row in rows)
    run = asker.run(thread_id, asker.assistant())
    assert run["status"] == "completed"
    assert len(asker.door.asked[1].json["messages"]) == 2


def test_the_examples_of_the_description_can_be_sent(asker: Asker) -> None:
    described = ask(asker.door.port, "GET", "/openapi.json").json
    schemas = described["components"]["schemas"]
    assistant_id, tried = asker.assistant(tools=[TOOL]), 0
    for path, item in described["paths"].items():
        body = item.get("post", {}).get("requestBody")
        if not path.startswith(("/v1/assistants", "/v1/threads")) or body is None:
            continue
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for example in schemas[name]["examples"]:
            asker.door.answers(calls_stream(), openai_stream(["a"], usage=USAGE))
            thread_id = asker.thread("Hi.")
            run = asker.run(thread_id, assistant_id)
            message = asker.get(f"/threads/{thread_id}/messages")["data"][0]
            if "submit" not in path:
                asker.post(f"{asker.path(run)}/cancel", {})
            ids = {"thread_id": thread_id, "run_id": run["id"], "message_id": message["id"]}
            there = path.format(assistant_id=assistant_id, **ids).removeprefix("/v1")
            text = json.dumps(example).replace("call_\\u2026", "call_1")
            text = text.replace("asst_\\u2026", assistant_id).replace("nova-tiny", "scripted")
            headers = {"content-type": "application/json", "prefer": "wait=60"}
            answer = asker.ask("POST", there, text.encode(), headers)
            assert answer.status in {200, 201}, (path, answer.text)
            tried += 1
    assert tried == 10
