"""A stream is left, joined late and taken up again; the run goes on meanwhile."""

from typing import Any

from tests.assistants.asking import (
    LIVE_TEXT,
    TOOL,
    USAGE,
    Asker,
    Shown,
    calls_stream,
    names,
)
from tests.servers.answers import Sleep, Stall, openai_stream

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


def test_an_id_stands_on_what_is_stored_alone(asker: Asker) -> None:
    whole = openai_stream(["Hel", "lo"], finish=None, done=False)
    asker.door.answers([*whole[:-1], Stall()])
    thread_id = asker.thread("Hi.")
    body = {"assistant_id": asker.assistant(), "stream": True}
    with asker.watching("POST", f"/threads/{thread_id}/runs", body) as events:
        seen = [next(events)]
        while seen[-1].name != DELTA:
            seen.append(next(events))
        run = seen[0].json
        numbered = [event.id for event in seen if event.id is not None]
        assert numbered == [1, 2]
        assert [event.name for event in seen if event.id is not None] == STARTED[1:]
        assert seen[-1].id is None, "a piece is shown before it is stored"
    asker.post(f"{asker.path(run)}/cancel", {})
    asker.until(run, "cancelled")
    replayed = asker.again(run)
    ids = [event.id for event in replayed if event.id is not None]
    assert ids == sorted(set(ids))
    told = [event.id for event in replayed if event.name == DELTA]
    assert told == ids[3 : 3 + len(told)] != []


def test_a_stream_is_taken_up_again_inside_of_a_message(asker: Asker) -> None:
    asker.door.answers(openai_stream(["one ", "two ", "three"], usage=USAGE, pause_s=APART_S))
    thread_id = asker.thread("Hi.")
    run = one(asker.run_stream(thread_id, asker.assistant()), "thread.run.completed")
    whole = asker.again(run)
    deltas = [event for event in whole if event.name == DELTA]
    later = asker.again(run, deltas[1].id)
    assert later[0].name == "thread.message.replaced"
    assert later[0].json["content"][0]["text"]["value"] == "one two "
    assert later[0].json["status"] == "in_progress"
    assert names(later[1:]) == TEXT[TEXT.index(DELTA) + 1 :]
    assert later[1].json["delta"]["content"][0]["text"]["value"] == "three"
    for event in whole:
        if event.id is not None:
            behind = [other for other in whole if (other.id or 10**9) > event.id]
            rest = [e for e in asker.again(run, event.id) if e.name != "thread.message.replaced"]
            # Events that one entry of the log makes have its number on the last of them.
            assert [e.data for e in rest if e.id] == [e.data for e in behind if e.id]
    last = max(event.id or 0 for event in whole)
    assert names(asker.again(run, last)) == ["done"]
    assert names(asker.again(run, last + 100)) == ["done"]


def test_a_stream_is_taken_up_again_inside_of_a_call(asker: Asker) -> None:
    asker.door.answers(calls_stream())
    run = one(
        asker.run_stream(asker.thread("Weather?"), asker.assistant(tools=[TOOL])),
        "thread.run.requires_action",
    )
    second = [event for event in asker.again(run) if event.name == "thread.run.step.delta"][1]
    later = asker.again(run, second.id)
    assert later[0].name == "thread.run.step.replaced"
    (call,) = later[0].json["step_details"]["tool_calls"]
    assert call["function"]["arguments"] == '{"city": '
    assert names(later[1:]) == ["thread.run.step.delta", "thread.run.requires_action", "done"]
    assert names(asker.again(run, later[-2].id)) == ["done"]


def test_a_run_goes_on_when_its_watcher_leaves(asker: Asker) -> None:
    answer = openai_stream(["Hel", "lo"], usage=USAGE)
    asker.door.answers([*answer[:3], Sleep(0.7), *answer[3:]])
    thread_id = asker.thread("Hi.")
    body = {"assistant_id": asker.assistant(), "stream": True}
    with asker.watching("POST", f"/threads/{thread_id}/runs", body) as events:
        run = next(events).json
    assert asker.until(run, "completed")["usage"] == USAGE
    assert asker.texts(thread_id)[-1] == ("assistant", "Hello")


def test_several_watch_the_same_run_live(asker: Asker) -> None:
    answer = openai_stream(["Hel", "lo"], usage=USAGE)
    asker.door.answers([*answer[:3], Sleep(1.0), *answer[3:]])
    thread_id = asker.thread("Hi.")
    run = asker.start(thread_id, asker.assistant())
    path = f"{asker.path(run)}?stream=true"
    with asker.watching("GET", path) as one_of, asker.watching("GET", path) as other:
        assert names(list(one_of)) == names(list(other)) == TEXT


def test_a_stream_whose_run_is_deleted_ends_with_a_word(asker: Asker) -> None:
    whole = openai_stream(["Hel"], finish=None, done=False)
    asker.door.answers([*whole[:-1], Stall()])
    thread_id = asker.thread("Hi.")
    body = {"assistant_id": asker.assistant(), "stream": True}
    with asker.watching("POST", f"/threads/{thread_id}/runs", body) as events:
        while next(events).name != DELTA:
            pass
        assert asker.ask("DELETE", f"/threads/{thread_id}").status == 200
        rest = list(events)
    assert names(rest)[-2:] == ["thread.run.cancelled", "done"], "it is stopped before it goes"
