"""The same ask as it happens: steps and tokens, ids on what is stored, watchers that come back."""

import itertools
import uuid

import pytest

from tests.http.doors import Door
from tests.http.wire import ask, eventually, opened
from tests.nova.acting import Company, Fails, Says, Stalls, plan
from tests.nova.asking import ASK, asked, chain, ended, entry, read, screen, texts, until

QUESTION = "What are A and B?"
BODY = {"prompt": QUESTION, "mode": "team", "stream": True}


def test_a_stream_shows_the_steps_as_they_happen(door: Door, company: Company) -> None:
    with opened(door.port, ASK, BODY) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = stream.rest()
    assert [event.json["type"] for event in events] == [event.name for event in events]
    names = [event.name for event in events if event.name != "token"]
    assert names[:4] == ["begun", "step_begun", "step_done", "plan"]
    assert names[-3:] == ["step_begun", "step_done", "done"]
    begun = events[0].json
    answer = events[-1].json
    assert begun["run_id"] == stream.headers["x-run-id"] == answer["run_id"]
    assert (begun["mode"], begun["model"]) == ("team", "scripted")
    (planned,) = [event.json for event in events if event.name == "plan"]
    assert [(s["number"], s["title"]) for s in planned["steps"]] == [(1, "Find A"), (2, "Find B")]
    # Token by token it is what the entries say.
    said: dict[str, str] = {}
    for event in events:
        if event.name == "token":
            step_id = event.json["step_id"]
            said[step_id] = said.get(step_id, "") + event.json["text"]
    assert said == texts(answer)
    entries, opened_steps = screen(events)
    assert list(entries.values()) == answer["chain_of_thought"]
    assert not opened_steps
    # Each agent begins when the one before it is done, and not earlier.
    place = {(e.name, e.json.get("step_id") or e.json.get("entry", {}).get("step_id")): n
             for n, e in enumerate(events)}  # fmt: skip
    order = ["r1.plan", "r1.s1", "r1.critic", "close"]
    for before, after in itertools.pairwise(order):
        assert place["step_done", before] < place["step_begun", after]


def test_the_whole_answer_is_the_stream_s(door: Door, company: Company) -> None:
    with opened(door.port, ASK, BODY) as stream:
        done = stream.rest()[-1].json
    assert done.pop("type") == "done"
    assert read(door.port, done["run_id"]) == done
    whole = asked(door.port, QUESTION, mode="team")
    assert whole.keys() == done.keys()
    assert whole["text"] == done["text"]


def test_ids_stand_on_what_is_stored_alone(door: Door, company: Company) -> None:
    company.plays(executor=Says("a b c", pause_s=0.05))
    with opened(door.port, ASK, BODY) as stream:
        run_id = stream.headers["x-run-id"]
        seen = []
        for event in stream:
            seen.append(event)
            if event.id is not None:
                stored = ask(door.port, "GET", f"/api/runs/{run_id}").json["last_event"]
                assert event.id <= stored
    numbers = [event.id for event in seen if event.id is not None]
    assert numbers == sorted(set(numbers))
    with_id = {event.name for event in seen if event.id is not None}
    assert with_id == {"begun", "plan", "step_done", "done"}


def test_a_watcher_comes_back_wherever_it_was(door: Door, company: Company) -> None:
    company.plays(planner=plan("Find A", "Find B", "Double the result of step 2"))
    with opened(door.port, ASK, BODY) as stream:
        events = stream.rest()
    done = events[-1].json
    path = f"/api/nova/asks/{done['run_id']}/events"
    for number in {event.id for event in events if event.id is not None}:
        shown = [event for event in events if event.id is None or event.id <= number]
        with opened(door.port, path, headers={"last-event-id": str(number)}) as stream:
            resumed = stream.rest()
        assert resumed[0].name == "replace"
        assert resumed[-1].name == "done"
        assert resumed[-1].json == done
        entries, opened_steps = screen([*shown[:1], *resumed])
        assert list(entries.values()) == done["chain_of_thought"]
        assert not opened_steps
        assert all(event.id > number for event in resumed[1:-1] if event.id is not None)
    # From the beginning there is nothing to replace.
    with opened(door.port, path) as stream:
        assert [event.name for event in stream.rest() if event.name != "token"] == [
            event.name for event in events if event.name != "token"
        ]


def test_a_client_that_leaves_does_not_stop_the_ask(door: Door, company: Company) -> None:
    company.plays(executor=Says("a b c", pause_s=0.1))
    with opened(door.port, ASK, BODY) as stream:
        run_id = stream.headers["x-run-id"]
        until(stream, "token", "r1.s1")
    answer = ended(door.port, run_id)
    assert answer["status"] == "completed"
    assert chain(answer)[-1] == "close"


def test_nor_does_one_that_waits_for_the_whole_answer(door: Door, company: Company) -> None:
    company.plays(executor=Says("a b c", pause_s=0.2))
    session = str(uuid.uuid4())
    body = {**BODY, "stream": False, "session_id": session}
    with pytest.raises(TimeoutError):
        ask(door.port, "POST", ASK, body, timeout_s=0.3)
    path = f"/api/nova/sessions/{session}"
    (one,) = eventually(lambda: ask(door.port, "GET", path).json.get("asks"))
    assert ended(door.port, one["run_id"])["status"] == "completed"


def test_two_watch_one_ask(door: Door, company: Company) -> None:
    company.plays(executor=Says("a b c", pause_s=0.1))
    with opened(door.port, ASK, BODY) as first:
        run_id = first.headers["x-run-id"]
        seen = until(first, "token", "r1.s1")
        with opened(door.port, f"/api/nova/asks/{run_id}/events") as second:
            assert second.rest()[-1].json == first.rest()[-1].json
    assert seen


def test_without_the_chain_a_stream_shows_the_answer_alone(door: Door, company: Company) -> None:
    with opened(door.port, ASK, {**BODY, "include_chain": False}) as stream:
        events = stream.rest()
    assert {event.name for event in events} == {"begun", "token", "done"}
    assert {e.json["step_id"] for e in events if e.name == "token"} == {"close"}
    text = "".join(e.json["text"] for e in events if e.name == "token")
    assert text == events[-1].json["text"]
    assert "chain_of_thought" not in events[-1].json


def test_what_was_malformed_is_taken_back(door: Door, company: Company) -> None:
    company.plays(planner=["not a plan", plan("Find A")])
    with opened(door.port, ASK, BODY) as stream:
        events = stream.rest()
    (taken,) = [event for event in events if event.name == "replace"]
    assert [(one["step_id"], one["text"]) for one in taken.json["open"]] == [("r1.plan", "")]
    assert screen(events)[0]["r1.plan"]["text"] == plan("Find A")


def test_a_failure_is_the_last_event(door: Door, company: Company) -> None:
    company.plays(planner=Fails())
    with opened(door.port, ASK, BODY) as stream:
        events = stream.rest()
    assert events[-1].name == "error"
    assert events[-1].json["code"] == "engine_rejected"
    # Whoever comes later is told the same.
    path = f"/api/nova/asks/{stream.headers['x-run-id']}/events"
    with opened(door.port, path, headers={"last-event-id": str(events[-1].id)}) as stream:
        assert stream.rest()[-1] == events[-1]


@pytest.mark.parametrize(
    ("agent", "step_id"),
    [
        ("planner", "r1.plan"),
        ("executor", "r1.s1"),
        ("critic", "r1.critic"),
        ("closer", "close"),
        ("single", "single"),
    ],
)
def test_a_cancel_stops_whoever_speaks(
    door: Door, company: Company, agent: str, step_id: str
) -> None:
    company.plays(**{agent: Stalls()})
    mode = "single" if agent == "single" else "team"
    with opened(door.port, ASK, {**BODY, "mode": mode}) as stream:
        run_id = stream.headers["x-run-id"]
        until(stream, "token", step_id)
        cancelled = ask(door.port, "POST", f"/api/nova/asks/{run_id}/cancel")
        assert cancelled.json["status"] in {"cancelling", "cancelled"}
        last = stream.rest()[-1]
    assert last.name == "done"
    assert last.json["status"] == "cancelled"
    speaking = [one.seen for one in company.asked(agent)]
    door.upstream.wait_for(lambda _: all(seen.client_left_at_ns for seen in speaking))
    answer = ended(door.port, run_id)
    cut = entry(answer, step_id)
    assert (cut["status"], cut["text"]) == ("cancelled", "Well")
    said = "Well" if agent in {"closer", "single"} else ""
    assert answer["text"] == said
    # What was done before stays done, and nobody else was asked.
    assert {one["status"] for one in answer["chain_of_thought"]} <= {"completed", "cancelled"}
    session = ask(door.port, "GET", f"/api/nova/sessions/{answer['session_id']}").json
    items = [(one["role"], one["text"], one["status"]) for one in session["items"]]
    assert items == [
        ("user", QUESTION, "completed"),
        *([("assistant", "Well", "incomplete")] if said else []),
    ]
    # The session is free for the next ask.
    company.plays()
    again = asked(door.port, "Hi.", mode="single", session_id=answer["session_id"])
    assert again["status"] == "completed"


def test_what_has_ended_cannot_be_cancelled(door: Door, company: Company) -> None:
    run_id = asked(door.port, QUESTION, mode="single")["run_id"]
    assert ask(door.port, "POST", f"/api/nova/asks/{run_id}/cancel").status == 400
    assert ask(door.port, "POST", "/api/nova/asks/run_none/cancel").status == 404


def test_other_runs_are_no_asks(door: Door, company: Company) -> None:
    company.roles["Hi."] = "single"
    done = ask(door.port, "POST", "/api/v1/chat", {"message": "Hi."})
    run_id = done.headers["x-run-id"]
    eventually(lambda: ask(door.port, "GET", f"/api/runs/{run_id}").json["status"] != "in_progress")
    assert ask(door.port, "GET", f"/api/nova/asks/{run_id}").status == 404
    assert ask(door.port, "POST", f"/api/nova/asks/{run_id}/cancel").status == 404
