"""A run's stream: the contract's events in its order, and every one of them read back."""

from typing import Any

import pytest

from tests.assistants.asking import (
    CALLED,
    LIVE_TEXT,
    TOOL,
    USAGE,
    Asker,
    Shown,
    calls_stream,
    names,
)
from tests.http.wire import eventually
from tests.servers.answers import Stall, Step, openai_stream, sse

STARTED = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]


DELTA = "thread.message.delta"
# Pieces that come together are shown as one.
APART_S = 0.2


TEXT = [
    *STARTED,
    *LIVE_TEXT,
    DELTA,
    DELTA,
    "thread.message.completed",
    "thread.run.step.completed",
    "thread.run.completed",
    "done",
]


def one(events: list[Shown], name: str) -> Any:
    (found,) = [event for event in events if event.name == name]
    return found.json


def test_text_in_the_exact_order(asker: Asker) -> None:
    asker.door.answers(openai_stream(["Hel", "lo"], usage=USAGE, pause_s=APART_S))
    thread_id = asker.thread("Hi.")
    events = asker.run_stream(thread_id, asker.assistant())
    assert names(events) == TEXT
    assert events[-1].data == "[DONE]"
    deltas = [event.json for event in events if event.name == DELTA]
    assert [delta["delta"]["content"] for delta in deltas] == [
        [{"index": 0, "type": "text", "text": {"value": "Hel", "annotations": []}}],
        [{"index": 0, "type": "text", "text": {"value": "lo"}}],
    ]
    message = one(events, "thread.message.completed")
    assert {delta["id"] for delta in deltas} == {message["id"]}
    assert one(events, "thread.message.created")["content"] == []
    assert one(events, "thread.run.created")["status"] == "queued"
    assert one(events, "thread.run.in_progress")["usage"] is None
    assert one(events, "thread.run.completed")["usage"] == USAGE


def test_what_was_streamed_is_what_is_read_back(asker: Asker) -> None:
    asker.door.answers(openai_stream(["Hel", "lo"], usage=USAGE, pause_s=APART_S))
    thread_id = asker.thread("Hi.")
    events = asker.run_stream(thread_id, asker.assistant(), metadata={"a": "b"})
    run = one(events, "thread.run.completed")
    message = one(events, "thread.message.completed")
    step = one(events, "thread.run.step.completed")
    assert asker.get(asker.path(run)) == run
    assert asker.get(f"/threads/{thread_id}/messages/{message['id']}") == message
    assert asker.get(f"{asker.path(run)}/steps/{step['id']}") == step
    ids = {e.json["id"] for e in events[:-1] if e.json["object"] == "thread.run"}
    assert ids == {run["id"]}
    replayed = asker.again(run)
    assert [(e.name, e.data) for e in replayed] == [(e.name, e.data) for e in events]


def test_a_thread_that_is_made_with_the_run_comes_first(asker: Asker) -> None:
    asker.door.answers(openai_stream(["Hel", "lo"], usage=USAGE, pause_s=APART_S))
    thread = {"messages": [{"role": "user", "content": "Hi."}], "metadata": {"a": "b"}}
    body = {"assistant_id": asker.assistant(), "thread": thread, "stream": True}
    events = asker.stream("/threads/runs", body)
    assert names(events) == ["thread.created", *TEXT]
    made = events[0].json
    assert made == asker.get(f"/threads/{made['id']}")
    assert asker.texts(made["id"]) == [("user", "Hi."), ("assistant", "Hello")]


def test_calls_and_their_outputs_in_the_exact_order(asker: Asker) -> None:
    asker.door.answers(calls_stream(), openai_stream(["18."], usage=USAGE))
    thread_id = asker.thread("Weather?")
    events = asker.run_stream(thread_id, asker.assistant(tools=[TOOL]))
    step_delta = "thread.run.step.delta"
    assert names(events) == [
        *STARTED,
        "thread.run.step.created",
        "thread.run.step.in_progress",
        *[step_delta] * len(CALLED),
        "thread.run.requires_action",
        "done",
    ]
    created = one(events, "thread.run.step.created")
    assert created["step_details"] == {"type": "tool_calls", "tool_calls": []}
    pieces = [
        event.json["delta"]["step_details"]["tool_calls"][0]
        for event in events
        if event.name == step_delta
    ]
    assert all((piece["index"], piece["type"]) == (0, "function") for piece in pieces)
    assert pieces[0]["function"] == {"name": "get_weather", "arguments": "", "output": None}
    assert all(set(piece) == {"index", "type", "function"} for piece in pieces[1:])
    run = one(events, "thread.run.requires_action")
    assert asker.get(asker.path(run)) == run
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    assert pieces[0]["id"] == call["id"]

    outputs = [{"tool_call_id": call["id"], "output": "18 degrees"}]
    body = {"tool_outputs": outputs, "stream": True}
    later = asker.stream(f"{asker.path(run)}/submit_tool_outputs", body)
    assert names(later) == [
        "thread.run.step.completed",
        "thread.run.queued",
        "thread.run.in_progress",
        *LIVE_TEXT,
        DELTA,
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
        "done",
    ]
    step = later[0].json
    assert step["step_details"]["tool_calls"][0]["function"]["output"] == "18 degrees"
    assert step == asker.get(f"{asker.path(run)}/steps/{created['id']}")
    # Who joins late sees it all, and is not stopped by an action of the past.
    assert names(asker.again(run)) == [*names(events)[:-1], *names(later)]


FAULTS: dict[str, list[Step]] = {
    "before a word": sse(b"data: {\n\n"),
    "in mid-sentence": sse({"choices": [{"index": 0, "delta": {"content": "a"}}]}, b"data: {\n\n"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_is_told_as_run_as_error_and_as_the_end(asker: Asker, fault: str) -> None:
    asker.door.answers(FAULTS[fault])
    thread_id = asker.thread("Hi.")
    events = asker.run_stream(thread_id, asker.assistant())
    assert names(events)[-3:] == ["thread.run.failed", "error", "done"]
    failed, error = events[-3].json, events[-2].json["error"]
    assert failed["last_error"] == {"code": "server_error", "message": error["message"]}
    assert failed["failed_at"] is not None
    assert set(error) == {"message", "type", "param", "code"}
    assert asker.get(asker.path(failed)) == failed
    if fault == "in mid-sentence":
        assert names(events)[-5:-3] == ["thread.message.incomplete", "thread.run.step.failed"]
        message, step = events[-5].json, events[-4].json
        assert message["incomplete_details"] == {"reason": "run_failed"}
        assert message["content"][0]["text"]["value"] == "a"
        assert message == asker.get(f"/threads/{thread_id}/messages/{message['id']}")
        assert step["last_error"] == failed["last_error"]
        assert step == asker.get(f"{asker.path(failed)}/steps/{step['id']}")


def test_a_cancelled_run_keeps_what_it_had_said(asker: Asker) -> None:
    whole = openai_stream(["Hel", "lo"], finish=None, done=False)
    asker.door.answers([*whole[:-1], Stall()])
    thread_id = asker.thread("Hi.")
    body = {"assistant_id": asker.assistant(), "stream": True}
    with asker.watching("POST", f"/threads/{thread_id}/runs", body) as events:
        run = next(events).json
        while next(events).name != DELTA:
            pass
        assert asker.post(f"{asker.path(run)}/cancel", {})["status"] == "cancelling"
        rest = list(events)
    assert [name for name in names(rest) if name != DELTA] == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
        "done",
    ]
    message = one(rest, "thread.message.incomplete")
    assert message["incomplete_details"] == {"reason": "run_cancelled"}
    assert one(rest, "thread.run.cancelled")["cancelled_at"] is not None
    assert asker.texts(thread_id) == [("user", "Hi."), ("assistant", "Hello")]
    assert eventually(lambda: asker.door.asked[0].client_left_at_ns), "the engine was told"


def test_text_beside_calls_is_a_message_of_its_own(asker: Asker) -> None:
    asker.door.answers(calls_stream(text=["I look."]), openai_stream(["18."], usage=USAGE))
    thread_id = asker.thread("Weather?")
    events = asker.run_stream(thread_id, asker.assistant(tools=[TOOL]))
    assert names(events)[-2:] == ["thread.run.requires_action", "done"]
    ended = names(events).index("thread.message.completed")
    assert names(events)[ended + 1] == "thread.run.step.completed"
    run = events[-2].json
    done = asker.submit(run, {"call_1": "18"})
    assert done["status"] == "completed"
    steps = asker.get(f"{asker.path(run)}/steps?order=asc")["data"]
    assert [step["type"] for step in steps] == [
        "message_creation",
        "tool_calls",
        "message_creation",
    ]
    used = [step["usage"] for step in steps if step["usage"]]
    assert sum(usage["total_tokens"] for usage in used) == done["usage"]["total_tokens"]
    assert [text for _, text in asker.texts(thread_id)] == ["Weather?", "I look.", "18."]


def test_an_empty_answer_is_a_message(asker: Asker) -> None:
    asker.door.answers(openai_stream([], usage=USAGE))
    thread_id = asker.thread("Hi.")
    events = asker.run_stream(thread_id, asker.assistant())
    assert names(events) == [name for name in TEXT if name != DELTA]
    content = one(events, "thread.message.completed")["content"]
    assert content == [{"type": "text", "text": {"value": "", "annotations": []}}]


def test_any_text_comes_out_unharmed(asker: Asker) -> None:
    text = '😀\u2028\r\n\n\x00"\\ data: x\n\nevent: done'
    asker.door.answers(openai_stream([text], usage=USAGE))
    thread_id = asker.thread("Hi.")
    events = asker.run_stream(thread_id, asker.assistant())
    delta = one(events, DELTA)["delta"]["content"][0]["text"]["value"]
    assert delta == text
    assert asker.texts(thread_id)[-1][1] == text
