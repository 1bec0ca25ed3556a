"""What is kept of an answer that was cut short, and how a stream is taken up again."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.chat.asking import CHAT, content, events_path, new_conversation, run_of, say
from tests.http.doors import COMPLETIONS, Door
from tests.http.wire import Event, ask, connect, eventually, opened, request_bytes
from tests.servers.answers import Sleep, Stall, Step, json_answer, openai_chunk, openai_stream, sse
from tests.servers.nova import NovaServer, nova_server
from tests.servers.scripted import ScriptedServer, scripted_server

PIECES = ["one ", "two ", "three "]
STALLS: list[Step] = [
    *sse(*[openai_chunk({"content": piece}) for piece in PIECES], done=False)[:-1],
    Stall(),
]


def items_of(port: int, conversation: str) -> list[dict[str, Any]]:
    """The thread of a conversation, oldest first, through OpenAI's door."""
    path = f"/v1/threads/thread_{UUID(conversation).hex}/messages?order=asc&limit=100"
    listed: list[dict[str, Any]] = ask(port, "GET", path).json["data"]
    return listed


def text_of(item: dict[str, Any]) -> str:
    [part] = item["content"]
    return str(part["text"]["value"])


def read_pieces(stream: Iterator[Event]) -> None:
    """All that the stalling answer says; pieces that came together are one chunk."""
    seen: list[Event] = []
    while content(seen) != "".join(PIECES):
        seen.append(next(stream))


def test_what_a_client_that_left_had_been_told_is_kept_as_incomplete(door: Door) -> None:
    conversation = new_conversation()
    door.answers(STALLS)
    body = {"message": "Count.", "conversation_id": conversation}
    with opened(door.port, CHAT, body) as stream:
        run_id = stream.headers["x-run-id"]
        read_pieces(iter(stream))
        left_at_ns = time.perf_counter_ns()
    assert 0 <= door.left_after_s(left_at_ns) < 1
    run = eventually(
        lambda: run if (run := run_of(door.port, run_id))["ended_at"] is not None else None
    )
    assert run["status"] == "cancelled"
    asked, answered = items_of(door.port, conversation)
    assert (text_of(asked), asked["status"]) == ("Count.", "completed")
    assert text_of(answered) == "".join(PIECES)
    assert answered["status"] == "incomplete"
    assert answered["incomplete_details"] == {"reason": "run_cancelled"}
    door.answers(openai_stream(["well"]))
    say(door.port, conversation, "Go on.")
    shown = [message["content"] for message in door.asked[-1].json["messages"]]
    assert shown == ["Count.", "".join(PIECES), "Go on."]


def test_a_resume_of_what_was_left_shows_the_kept_part_and_its_end(door: Door) -> None:
    conversation = new_conversation()
    door.answers(STALLS)
    with opened(door.port, CHAT, {"message": "M", "conversation_id": conversation}) as stream:
        read_pieces(iter(stream))
    with opened(door.port, events_path(conversation)) as again:
        events = again.rest()
    assert events[0].name == "replace"
    assert content(events) == "".join(PIECES)
    assert events[-1].name == "error"
    assert events[-1].json["code"] == "stream_error"
    with opened(
        door.port, events_path(conversation), None, {"last-event-id": str(events[-1].id)}
    ) as again:
        once_more = again.rest()
    assert [event.name for event in once_more] == ["replace", "error"]
    assert content(once_more) == "".join(PIECES)


def test_a_client_that_leaves_before_the_answer_has_begun_leaves_no_empty_one(door: Door) -> None:
    conversation = new_conversation()
    door.answers([Stall()])
    with connect(door.port) as client:
        body = {"message": "Hi.", "conversation_id": conversation}
        client.sendall(request_bytes(CHAT, body))
        door.upstream.wait_for(lambda _: door.asked)
        left_at_ns = time.perf_counter_ns()
    assert 0 <= door.left_after_s(left_at_ns) < 1
    door.answers(openai_stream(["well"]))
    assert say(door.port, conversation, "Again.")[-1].name == "done"
    shown = [message["content"] for message in door.asked[-1].json["messages"]]
    # Whether the first message had been stored by then is chance; nothing half is there.
    assert shown in (["Hi.", "Again."], ["Again."])


def test_several_watch_one_answer_and_one_that_comes_late_sees_it_all(door: Door) -> None:
    conversation = new_conversation()
    steps = openai_stream(PIECES)
    door.answers([*steps[:3], Sleep(1.0), *steps[3:]])
    with opened(door.port, CHAT, {"message": "M", "conversation_id": conversation}) as asker:
        asker.next()
        with (
            opened(door.port, events_path(conversation)) as one,
            opened(door.port, events_path(conversation)) as another,
        ):
            seen = [one.rest(), another.rest()]
        assert asker.rest()[-1].name == "done"
    for events in seen:
        assert events[0].name == "replace"
        assert content(events) == "".join(PIECES)
        assert events[-1].name == "done"


def test_a_watcher_that_leaves_does_not_stop_the_answer_of_the_one_who_asked(door: Door) -> None:
    conversation = new_conversation()
    steps = openai_stream(PIECES)
    door.answers([*steps[:3], Sleep(1.0), *steps[3:]])
    with opened(door.port, CHAT, {"message": "M", "conversation_id": conversation}) as asker:
        first = asker.next()
        with opened(door.port, events_path(conversation)) as watcher:
            watcher.next()
        events = [first, *asker.rest()]
    assert content(events) == "".join(PIECES)
    assert events[-1].name == "done"


@contextmanager
def upstream_server() -> Iterator[ScriptedServer]:
    model = {"id": "scripted", "object": "model", "created": 7, "owned_by": "vllm"}
    with scripted_server() as upstream:
        upstream.on("GET", "/v1/models", json_answer(200, {"object": "list", "data": [model]}))
        yield upstream


def settings(upstream: ScriptedServer) -> dict[str, str]:
    return {
        "NOVA_EMBEDDED": "off",
        "NOVA_DEFAULT_MODEL": "scripted",
        "NOVA_OPENAI_URL": f"{upstream.url}/v1",
    }


def kill(server: NovaServer) -> None:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(20)


@pytest.mark.parametrize("resumed_with", ["the last id", "none"])
def test_a_server_killed_in_mid_answer_keeps_what_was_stored_and_frees_the_conversation(
    tmp_path: Path, resumed_with: str
) -> None:
    conversation = new_conversation()
    with upstream_server() as upstream:
        upstream.on("POST", COMPLETIONS, STALLS)
        with nova_server(tmp_path, settings(upstream)) as server:
            body = {"message": "Count.", "conversation_id": conversation}
            with opened(server.port, CHAT, body) as stream:
                run_id = stream.headers["x-run-id"]
                read_pieces(iter(stream))
                last_id = committed_id(server.port, run_id)
                kill(server)
        with nova_server(tmp_path, settings(upstream)) as server:
            run = run_of(server.port, run_id)
            assert (run["status"], run["error"]["code"]) == ("failed", "interrupted")
            headers = {"last-event-id": str(last_id)} if resumed_with == "the last id" else {}
            with opened(server.port, events_path(conversation), None, headers) as again:
                events = again.rest()
            assert events[0].name == "replace"
            assert content(events) == "".join(PIECES)
            assert events[-1].name == "error"
            assert "stopped" in events[-1].json["message"]
            if resumed_with == "the last id":
                assert [event.name for event in events] == ["replace", "error"]
            [_, answered] = items_of(server.port, conversation)
            assert text_of(answered) == "".join(PIECES)
            assert answered["incomplete_details"] == {"reason": "run_failed"}
            upstream.on("POST", COMPLETIONS, openai_stream(["well"]))
            assert content(say(server.port, conversation, "Go on.")) == "well"


def committed_id(port: int, run_id: str) -> int:
    """The number of the last event, once all pieces of the text are stored."""
    with opened(port, f"/api/runs/{run_id}/events") as stream:
        text = ""
        for event in stream:
            if event.name == "text":
                text += event.json["data"]["text"]
            if text == "".join(PIECES) and event.id is not None:
                return event.id
    raise AssertionError


def test_a_server_that_is_told_to_stop_marks_what_it_cut(tmp_path: Path) -> None:
    conversation = new_conversation()
    with upstream_server() as upstream:
        upstream.on("POST", COMPLETIONS, STALLS)
        more = {**settings(upstream), "NOVA_SHUTDOWN_TIMEOUT_S": "0.3"}
        with nova_server(tmp_path, more) as server:
            body = {"message": "Count.", "conversation_id": conversation}
            with opened(server.port, CHAT, body) as stream:
                run_id = stream.headers["x-run-id"]
                read_pieces(iter(stream))
                os.kill(server.process.pid, signal.SIGTERM)
                assert stream.rest()[-1].name == "error"
            assert server.process.wait(20) == 0
        with nova_server(tmp_path, more) as server:
            run = run_of(server.port, run_id)
            assert (run["status"], run["error"]["code"]) == ("failed", "interrupted")
            with opened(server.port, events_path(conversation)) as again:
                assert content(again.rest()) == "".join(PIECES)


def test_a_run_that_is_cancelled_from_elsewhere_ends_the_stream_with_a_word(door: Door) -> None:
    door.answers(STALLS)
    with opened(door.port, CHAT, {"message": "Count."}) as stream:
        run_id = stream.headers["x-run-id"]
        read_pieces(iter(stream))
        cancelled = ask(door.port, "POST", f"/api/runs/{run_id}/cancel")
        assert cancelled.json["status"] in {"cancelling", "cancelled"}
        last = stream.rest()[-1]
    assert (last.name, last.json["code"]) == ("error", "stream_error")
    assert json.loads(last.data)["message"]


def test_a_conversation_that_is_deleted_ends_its_stream_with_a_word(door: Door) -> None:
    conversation = new_conversation()
    door.answers(STALLS)
    with opened(door.port, CHAT, {"message": "M", "conversation_id": conversation}) as stream:
        read_pieces(iter(stream))
        thread = f"/v1/threads/thread_{UUID(conversation).hex}"
        assert ask(door.port, "DELETE", thread).status == 200
        left_at_ns = time.perf_counter_ns()
        assert stream.rest()[-1].name == "error"
    assert door.left_after_s(left_at_ns) < 1
    assert ask(door.port, "GET", events_path(conversation)).status == 404
