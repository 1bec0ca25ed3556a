"""Turns that come to a busy conversation wait, in order, and not too many of them."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.chat.asking import CHAT, content, new_conversation, run_of, say
from tests.http.doors import Door, open_door
from tests.http.wire import Answer, ask, connect, eventually, opened, request_bytes
from tests.servers.answers import Sleep, Stall, Step, openai_chunk, openai_stream, sse
from tests.servers.scripted import Seen

BEGUN: list[Step] = [*sse(openai_chunk({"content": "begun"}), done=False)[:-1], Stall()]
SLOW = [*openai_stream(["a"])[:1], Sleep(0.5), *openai_stream(["a"])[1:]]


def runs_of(door: Door, conversation: str) -> list[dict[str, object]]:
    listed = ask(door.port, "GET", "/api/runs?limit=100").json["data"]
    return [run for run in listed if run["thread_id"] == conversation]


def test_turns_are_taken_in_the_order_in_which_they_came(door: Door) -> None:
    conversation = new_conversation()
    door.answers(SLOW)
    with ThreadPoolExecutor(5) as clients:
        turns: list[Future[object]] = []
        for number in range(5):
            turns.append(clients.submit(say, door.port, conversation, f"M{number}"))
            # The next one comes when this one has surely arrived.
            time.sleep(0.15)
        for turn in turns:
            turn.result(60)
    asked = [[m["content"] for m in seen.json["messages"]][-1] for seen in door.asked]
    assert asked == [f"M{number}" for number in range(5)]
    assert len(door.asked[-1].json["messages"]) == 9


def test_too_many_are_refused_with_a_time_to_come_back(tmp_path: Path) -> None:
    with open_door(tmp_path, {"NOVA_MAX_WAITING_TURNS": "2"}) as door:
        conversation = new_conversation()
        door.answers(BEGUN)
        body = {"message": "M", "conversation_id": conversation}
        with opened(door.port, CHAT, body) as first, ThreadPoolExecutor(2) as clients:
            first.next()
            door.answers(openai_stream(["well"]))
            waiting = [clients.submit(say, door.port, conversation, f"W{n}") for n in range(2)]
            refused = eventually(lambda: too_many(door, body))
            assert refused.json["code"] == "processing_error"
            assert int(refused.headers["retry-after"]) > 0
            # Other conversations are not concerned.
            assert content(say(door.port, new_conversation(), "Hi.")) == "well"
            first.leave()
            assert [turn.result(60)[-1].name for turn in waiting] == ["done", "done"]


def too_many(door: Door, body: object) -> Answer | None:
    """The answer to one more, once that is a refusal; before, it is taken back by leaving."""
    with connect(door.port) as client:
        client.sendall(request_bytes(CHAT, body, more="connection: close\r\n"))
        client.settimeout(0.2)
        try:
            head = client.recv(65536)
        except TimeoutError:
            return None
    if b" 429 " not in head.split(b"\r\n")[0]:
        return None
    return ask(door.port, "POST", CHAT, body)


def test_one_that_leaves_while_it_waits_begins_no_run(door: Door) -> None:
    conversation = new_conversation()
    door.answers(BEGUN)
    body = {"message": "First.", "conversation_id": conversation}
    with opened(door.port, CHAT, body) as first:
        first.next()
        door.answers(openai_stream(["well"]))
        with connect(door.port) as client:
            waiting = {"message": "Left.", "conversation_id": conversation}
            client.sendall(request_bytes(CHAT, waiting))
            time.sleep(0.5)
        time.sleep(0.3)
    assert say(door.port, conversation, "Second.")[-1].name == "done"
    time.sleep(0.3)
    assert len(runs_of(door, conversation)) == 2
    shown = [m["content"] for m in door.asked[-1].json["messages"]]
    assert shown == ["First.", "begun", "Second."]


def test_a_conversation_whose_run_waits_for_its_lane_is_carried_out_in_the_end(
    tmp_path: Path,
) -> None:
    """More turns than the engine may have at once: the others are queued, and lose nothing."""
    with open_door(tmp_path, {"NOVA_MAX_RUNS_PER_ENGINE": "2"}) as door:
        door.answers(SLOW)
        with ThreadPoolExecutor(6) as clients:
            turns = [clients.submit(say, door.port, new_conversation(), f"M{n}") for n in range(6)]
            assert [content(turn.result(60)) for turn in turns] == ["a"] * 6
        # A turn that was not begun at once has not been asked for twice.
        assert sorted(map(last_of, door.asked)) == [f"M{n}" for n in range(6)]


def last_of(seen: Seen) -> str:
    return str(seen.json["messages"][-1]["content"])


def test_a_turn_s_run_is_named_in_the_answer(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    with opened(door.port, CHAT, {"message": "Hi."}) as stream:
        run_id = stream.headers["x-run-id"]
        stream.rest()
    run = eventually(
        lambda: run if (run := run_of(door.port, run_id))["status"] == "completed" else None
    )
    assert (run["kind"], run["model"]) == ("chat", "scripted")
