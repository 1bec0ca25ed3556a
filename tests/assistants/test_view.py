"""What a watcher is told where a crash took what he had seen: pure, events in and frames out."""

from collections.abc import Sequence
from typing import Any

from novasystem.assistants.view import View
from novasystem.runs.records import Event, Run
from tests.assistants.asking import Shown, names, shown

Raw = tuple[str, dict[str, Any]]
REQUEST: dict[str, Any] = {
    "model": "scripted",
    "instructions": "",
    "tools": [],
    **dict.fromkeys(
        (
            "temperature",
            "top_p",
            "max_prompt_tokens",
            "max_completion_tokens",
            "last_messages",
            "tool_choice",
            "parallel_tool_calls",
            "response_format",
        )
    ),
}
RUN = Run(
    key=1,
    id="run_1",
    owner_id="local",
    thread_key=1,
    thread_id="0" * 32,
    kind="assistant",
    lane="",
    status="in_progress",
    request=REQUEST,
    assistant_id="asst_1",
    metadata={},
    created_at=1000,
    started_at=1000,
    ended_at=None,
    expires_at=None,
    executor="exec_1",
    fence=1,
    interruptions=0,
    last_seq=0,
    error=None,
    details=None,
    usage=None,
)
BEGUN: list[Raw] = [
    ("status", {"status": "queued"}),
    ("status", {"status": "in_progress"}),
    ("message_begun", {"item_id": "msg_1", "step_id": "step_1"}),
    ("text", {"text": "Hel"}),
    ("text", {"text": "lo"}),
]
CALLS: list[Raw] = [
    ("calls_begun", {"step_id": "step_2"}),
    ("call", {"index": 0, "id": "call_1", "name": "f", "arguments": ""}),
    ("call", {"index": 0, "arguments": "{}"}),
]


def view(events: Sequence[Raw]) -> tuple[View, list[Shown]]:
    seen, frames = View(RUN), list[bytes]()
    for seq, (type_, data) in enumerate(events, 1):
        frames += seen.apply(Event(seq, type_, data, 1000 + seq, committed=True))
    return seen, shown(b"".join(frames).decode()) if frames else []


def told(before: Sequence[Raw], stored: int) -> list[Shown]:
    """What a watcher of ``before`` is told where only the first ``stored`` events hold."""
    void, _ = view(before)
    now, _ = view(before[:stored])
    return shown(b"".join([*now.gone_since(void), *now.replaced()]).decode() or "\n\n")


def test_a_piece_that_was_lost_is_taken_back() -> None:
    (only,) = told(BEGUN, 4)
    assert only.name == "thread.message.replaced"
    assert only.json["id"] == "msg_1"
    assert only.json["content"][0]["text"]["value"] == "Hel"


def test_a_message_that_was_never_stored_is_deleted() -> None:
    message, step = told(BEGUN, 2)
    assert (step.name, step.json["id"]) == ("thread.run.step.deleted", "step_1")
    assert (message.name, message.json) == (
        "thread.message.deleted",
        {"id": "msg_1", "object": "thread.message.deleted", "deleted": True},
    )


def test_pieces_of_a_call_that_were_lost_are_taken_back() -> None:
    events = [*BEGUN[:2], *CALLS]
    (only,) = told(events, 4)
    assert only.name == "thread.run.step.replaced"
    (call,) = only.json["step_details"]["tool_calls"]
    assert (call["id"], call["function"]["arguments"]) == ("call_1", "")
    assert names(told(events, 2)) == ["thread.run.step.deleted"]


def test_an_end_that_was_lost_opens_the_message_again() -> None:
    ended: dict[str, Any] = {
        "item_id": "msg_1",
        "step_id": "step_1",
        "text": "Hello",
        "reason": None,
    }
    ended |= {"usage": None, "tokens": 2, "exact": False}
    events = [*BEGUN, ("message_ended", ended)]
    (only,) = told(events, 5)
    assert (only.name, only.json["status"]) == ("thread.message.replaced", "in_progress")


def test_a_restart_voids_what_was_said_and_keeps_the_message() -> None:
    again: list[Raw] = [
        ("status", {"status": "queued", "interrupted": True}),
        ("status", {"status": "in_progress"}),
        ("restarted", {"item_id": "msg_1", "step_id": "step_1"}),
        ("text", {"text": "Good day"}),
    ]
    _, frames = view([*BEGUN, *again])
    assert names(frames)[-4:] == [
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.message.replaced",
        "thread.message.delta",
    ]
    assert frames[-2].json["content"] == []
    first = frames[-1].json["delta"]["content"][0]["text"]
    assert first == {"value": "Good day", "annotations": []}, "its text begins anew"
    assert names(frames).count("thread.run.created") == 1


def test_calls_whose_engine_leaves_numbers_out_have_no_gaps() -> None:
    events: list[Raw] = [
        *BEGUN[:2],
        CALLS[0],
        ("call", {"index": 3, "id": "call_1", "name": "f", "arguments": "{}"}),
        ("call", {"index": 7, "id": "call_2", "name": "g", "arguments": "{}"}),
    ]
    _, frames = view(events)
    deltas = [f.json["delta"] for f in frames if f.name == "thread.run.step.delta"]
    indexes = [delta["step_details"]["tool_calls"][0]["index"] for delta in deltas]
    assert indexes == [0, 1], "the client puts them into a list"
