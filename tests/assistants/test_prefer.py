"""``Prefer: wait=SECONDS``: one request from the question to the end, and no longer than said."""

import time

import pytest

from tests.assistants.asking import USAGE, Asker
from tests.http.wire import ask
from tests.servers.answers import Sleep, openai_stream


def test_prefer_wait_answers_once_the_run_has_ended(asker: Asker) -> None:
    answer = openai_stream(["Hello"], usage=USAGE)
    asker.door.answers([Sleep(0.5), *answer])
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant()
    path, body = f"/threads/{thread_id}/runs", {"assistant_id": assistant_id}
    done = asker.ask("POST", path, body, {"prefer": "respond-async, wait=30;x=y"})
    assert (done.status, done.json["status"]) == (201, "completed")
    assert done.headers["preference-applied"] == "wait=30"
    assert "openai-poll-after-ms" not in done.headers
    assert asker.texts(thread_id)[-1] == ("assistant", "Hello")
    thread = {"messages": [{"role": "user", "content": "a"}]}
    made = asker.ask("POST", "/threads/runs", {**body, "thread": thread}, {"prefer": "wait=99999"})
    assert (made.status, made.json["status"]) == (201, "completed")
    assert made.headers["preference-applied"] == "wait=600"


def test_prefer_wait_is_bounded_and_the_run_goes_on(asker: Asker) -> None:
    answer = openai_stream(["Hello"], usage=USAGE)
    asker.door.answers([Sleep(2.5), *answer])
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant()
    path, body = f"/threads/{thread_id}/runs", {"assistant_id": assistant_id}
    begun = time.monotonic()
    early = asker.ask("POST", path, body, {"prefer": "wait=1"})
    assert time.monotonic() - begun > 0.9
    assert (early.status, early.json["status"]) == (201, "in_progress")
    assert 50 <= int(early.headers["openai-poll-after-ms"]) <= 2000
    run_path = asker.path(early.json)
    polled = asker.ask("GET", run_path)
    assert int(polled.headers["openai-poll-after-ms"]) > 0
    assert "preference-applied" not in polled.headers
    later = asker.ask("GET", run_path, headers={"prefer": 'wait="30"'})
    assert later.json["status"] == "completed"
    for nonsense in ("wait=soon", "wait", "wait=-1", "waiting=3", ""):
        plain = asker.ask("GET", run_path, headers={"prefer": nonsense})
        assert plain.status == 200
        assert "preference-applied" not in plain.headers


def test_a_run_goes_on_when_whoever_waits_for_it_leaves(asker: Asker) -> None:
    answer = openai_stream(["Hello"], usage=USAGE)
    asker.door.answers([Sleep(1), *answer])
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant()
    body, path = {"assistant_id": assistant_id}, f"/v1/threads/{thread_id}/runs"
    with pytest.raises(TimeoutError):
        ask(asker.door.port, "POST", path, body, {"prefer": "wait=60"}, timeout_s=0.4)
    (run,) = asker.get(f"/threads/{thread_id}/runs")["data"]
    assert asker.until(run, "completed")["usage"] == USAGE
