"""Runs outlive their server: killed at any moment, they go on or end, and are not done twice."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.assistants.asking import TOOL, USAGE, Asker, calls_stream, names
from tests.http.doors import COMPLETIONS, Door
from tests.http.wire import eventually
from tests.servers.answers import Stall, Step, json_answer, openai_stream
from tests.servers.nova import nova_server
from tests.servers.scripted import ScriptedServer

DELTA = "thread.message.delta"


@contextmanager
def served(folder: Path, upstream: ScriptedServer, *answers: Sequence[Step]) -> Iterator[Asker]:
    """A server over the data in ``folder``, before an engine that gives these answers."""
    models = {"object": "list", "data": [{"id": "scripted", "object": "model", "created": 7}]}
    upstream.on("GET", "/v1/models", json_answer(200, models))
    upstream.on("POST", COMPLETIONS, *answers)
    settings = {
        "NOVA_EMBEDDED": "off",
        "NOVA_DEFAULT_MODEL": "scripted",
        "NOVA_OPENAI_URL": f"{upstream.url}/v1",
    }
    with nova_server(folder, settings) as server:
        yield Asker(Door(server, upstream))


def kill(asker: Asker) -> None:
    asker.door.server.process.kill()
    asker.door.server.process.wait()


def stalled(*texts: str) -> list[Step]:
    return [*openai_stream(list(texts), finish=None, done=False)[:-1], Stall()]


def asked(upstream: ScriptedServer) -> list[Any]:
    return [seen.json for seen in upstream.seen if seen.path == COMPLETIONS]


def test_a_killed_server_s_run_is_carried_on(tmp_path: Path, scripted: ScriptedServer) -> None:
    with served(tmp_path, scripted, stalled("Hel", "lo")) as asker:
        thread_id, assistant_id = asker.thread("Hi."), asker.assistant()
        body = {"assistant_id": assistant_id, "stream": True}
        with asker.watching("POST", f"/threads/{thread_id}/runs", body) as events:
            run = next(events).json
            message_id = next(event for event in events if event.name == DELTA).json["id"]
            # What is stored by now is known from the log: there its pieces have numbers.
            path = f"{asker.path(run)}?stream=true"

            def stored() -> int | None:
                with asker.watching("GET", path) as again:
                    for event in again:
                        if event.name == DELTA:
                            return event.id
                return None

            last_id = eventually(stored)
            kill(asker)
            assert "done" not in names(list(events))
    with served(tmp_path, scripted, openai_stream(["Good day"], usage=USAGE)) as asker:
        done = asker.until(run, "completed")
        assert done["usage"] == USAGE
        later = asker.again(run, last_id)
        shown = [event for event in later if event.name == "thread.message.replaced"]
        # As it stood for whoever comes back, and then void: the model begins anew.
        assert shown[0].json["content"][0]["text"]["value"].startswith("Hel")
        assert shown[1].json["content"] == []
        assert {event.json["id"] for event in shown} == {message_id}
        (completed,) = [e.json for e in later if e.name == "thread.message.completed"]
        assert completed["id"] == message_id
        assert names(later)[-2:] == ["thread.run.completed", "done"]
        assert asker.texts(thread_id) == [("user", "Hi."), ("assistant", "Good day")]
        assert asker.run(thread_id, assistant_id)["status"] == "completed", "the thread is free"


def test_a_run_that_waits_for_outputs_waits_on(tmp_path: Path, scripted: ScriptedServer) -> None:
    with served(tmp_path, scripted, calls_stream()) as asker:
        thread_id = asker.thread("Weather?")
        run = asker.run(thread_id, asker.assistant(tools=[TOOL]))
        kill(asker)
    with served(tmp_path, scripted, openai_stream(["18."], usage=USAGE)) as asker:
        assert asker.get(asker.path(run)) == run
        done = asker.submit(run, {"call_1": "18"})
        assert done["status"] == "completed"
        assert done["usage"]["total_tokens"] == 2 * USAGE["total_tokens"]
    assert len(asked(scripted)) == 2


def test_calls_that_were_begun_are_void_after_a_crash(
    tmp_path: Path, scripted: ScriptedServer
) -> None:
    begun = [*calls_stream()[:-3], Stall()]
    with served(tmp_path, scripted, begun) as asker:
        thread_id = asker.thread("Weather?")
        run = asker.start(thread_id, asker.assistant(tools=[TOOL]))
        eventually(lambda: asker.get(f"{asker.path(run)}/steps")["data"])
        kill(asker)
    with served(tmp_path, scripted, calls_stream(), openai_stream(["18."], usage=USAGE)) as asker:
        run = asker.until(run, "requires_action")
        done = asker.submit(run, {"call_1": "18"})
        assert done["status"] == "completed"
        steps = asker.get(f"{asker.path(run)}/steps?order=asc")["data"]
        assert [step["status"] for step in steps] == ["cancelled", "completed", "completed"]
        shown = names(asker.again(run))
        assert shown.count("thread.run.step.cancelled") == 1
        assert shown[-2:] == ["thread.run.completed", "done"]


@pytest.mark.parametrize("ended", ["completed", "requires_action", "incomplete"])
def test_what_was_said_is_not_said_twice(
    tmp_path: Path, scripted: ScriptedServer, ended: str
) -> None:
    """The server died when the answer was stored and the run's end was not."""
    answer = {
        "completed": openai_stream(["Hello"], usage=USAGE),
        "requires_action": calls_stream(),
        "incomplete": openai_stream(["Hel"], finish="length", usage=USAGE),
    }[ended]
    with served(tmp_path, scripted, answer) as asker:
        thread_id = asker.thread("Hi.")
        before = asker.run(thread_id, asker.assistant(tools=[TOOL]))
        assert before["status"] == ended
        log = [event.data for event in asker.again(before)]
        texts = asker.texts(thread_id)
    _take_back_the_end(tmp_path, before["id"])
    with served(tmp_path, scripted, openai_stream(["twice"])) as asker:
        after = asker.until(before, ended)
        assert after["required_action"] == before["required_action"]
        assert (after["usage"], after["truncation"]) == (before["usage"], before["truncation"])
        assert asker.texts(thread_id) == texts
        assert len(asker.again(after)) == len(log) + 2, "queued and in progress once more"
        if ended == "requires_action":
            assert asker.submit(after, {"call_1": "18"})["status"] == "completed"
    assert len(asked(scripted)) == (2 if ended == "requires_action" else 1)


def _take_back_the_end(folder: Path, run_id: str) -> None:
    """Leave the database as it was before the transaction that ended the run."""
    (file,) = (folder / "data").glob("*.db")
    with closing(sqlite3.connect(file)) as connection, connection:
        ((key, last_seq),) = connection.execute(
            "select key, last_seq from runs where id = ?", (run_id,)
        ).fetchall()
        ((first_seq, events),) = connection.execute(
            "select first_seq, events from run_events where run_key = ? and last_seq = ?",
            (key, last_seq),
        ).fetchall()
        kept = json.loads(events)[:-1]
        if kept:
            connection.execute(
                "update run_events set events = ?, last_seq = ?"
                " where run_key = ? and first_seq = ?",
                (json.dumps(kept).encode(), last_seq - 1, key, first_seq),
            )
        else:
            connection.execute(
                "delete from run_events where run_key = ? and first_seq = ?", (key, first_seq)
            )
        connection.execute(
            "update runs set status = 'in_progress', executor = 'exec_dead', last_seq = ?,"
            " ended_at = null, usage = null, details = null where key = ?",
            (last_seq - 1, key),
        )
        connection.execute(
            "update threads set active_run = ? where key = (select thread_key from runs"
            " where key = ?)",
            (run_id, key),
        )


def test_a_cancel_that_a_crash_overtook_holds(tmp_path: Path, scripted: ScriptedServer) -> None:
    with served(tmp_path, scripted, stalled("Hel")) as asker:
        thread_id = asker.thread("Hi.")
        run = asker.start(thread_id, asker.assistant())
        eventually(lambda: asker.get(f"{asker.path(run)}/steps")["data"])
        kill(asker)
    (file,) = (tmp_path / "data").glob("*.db")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("update runs set status = 'cancelling'")
    with served(tmp_path, scripted, openai_stream(["more"])) as asker:
        done = asker.get(asker.path(run))
        assert done["status"] == "cancelled"
        message = asker.get(f"/threads/{thread_id}/messages")["data"][0]
        assert message["incomplete_details"] == {"reason": "run_cancelled"}
        assert message["content"][0]["text"]["value"] in {"", "Hel"}
    assert len(asked(scripted)) == 1


def test_a_server_that_stops_in_order_hands_its_runs_on(
    tmp_path: Path, scripted: ScriptedServer
) -> None:
    with served(tmp_path, scripted, stalled("Hel")) as asker:
        thread_id = asker.thread("Hi.")
        run = asker.start(thread_id, asker.assistant())
        eventually(lambda: asker.get(f"{asker.path(run)}/steps")["data"])
    with served(tmp_path, scripted, openai_stream(["Hello"], usage=USAGE)) as asker:
        asker.until(run, "completed")
        assert asker.texts(thread_id) == [("user", "Hi."), ("assistant", "Hello")]


def test_a_message_is_ended_where_the_model_calls_instead(
    tmp_path: Path, scripted: ScriptedServer
) -> None:
    with served(tmp_path, scripted, stalled("Let me see")) as asker:
        thread_id = asker.thread("Weather?")
        run = asker.start(thread_id, asker.assistant(tools=[TOOL]))
        eventually(lambda: asker.get(f"{asker.path(run)}/steps")["data"])
        kill(asker)
    with served(tmp_path, scripted, calls_stream(), openai_stream(["18."], usage=USAGE)) as asker:
        run = asker.until(run, "requires_action")
        assert asker.submit(run, {"call_1": "18"})["status"] == "completed"
        rows = asker.get(f"/threads/{thread_id}/messages?order=asc")["data"]
        assert [row["status"] for row in rows] == ["completed"] * 3
        assert [text for _, text in asker.texts(thread_id)] == ["Weather?", "", "18."]
