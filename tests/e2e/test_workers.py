"""Several workers behind one address: one llama.cpp, one database, and nobody left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.crew import Crew, Line, open_crew
from tests.e2e.test_life import alive
from tests.http.wire import Event, eventually
from tests.servers.answers import Hold, Stall, Step, openai_stream
from tests.servers.nova import isolated_environment
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="looks at the processes through Linux's /proc"
)

CHAT = "/api/v1/chat"
SLOW = openai_stream(["a"] * 20, pause_s=0.1)
ENDLESS: Sequence[Step] = [*openai_stream(["a", "b"], finish=None, done=False)[:-1], Stall()]


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Crew]:
    folder = tmp_path_factory.mktemp("crew")
    with open_crew(folder, postgres, "workers", {}) as running:
        yield running
    assert "Traceback" not in running.server.log_path.read_text()


def said(events: Sequence[Event]) -> str:
    """The text of a stream; what replaces it counts."""
    text = ""
    for event in events:
        if event.name == "replace":
            text = event.json["content"]
        elif event.name == "chunk":
            text += event.json["content"]
    return text


def test_two_workers_answer_with_one_llama(crew: Crew) -> None:
    crew.two()
    seen = set()

    def answered() -> bool:
        connections = [crew.dial() for _ in range(8)]
        for connection in connections:
            seen.add(crew.answered_by(connection))
            line = Line(0, connection)
            answer = line.ask("POST", CHAT, {"message": "Hi.", "model": "nova-tiny"})
            assert "event: done" in answer.text
            connection.close()
        return seen == set(crew.workers)

    eventually(answered, 60)
    (llama,) = crew.llamas
    assert not [pid for worker in crew.workers for pid in crew_children(worker)]
    # What may reach it stands nowhere where other users of the machine may look.
    for pid in (crew.parent, *crew.workers):
        said_openly = Path(f"/proc/{pid}/cmdline").read_bytes()
        said_openly += Path(f"/proc/{pid}/environ").read_bytes()
        assert b"llama.sock" not in said_openly
        assert b"api_key" not in said_openly
    assert alive(llama)


def crew_children(pid: int) -> list[str]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for task in tasks for child in task.read_text().split()]


def test_a_turn_in_one_worker_is_watched_and_resumed_through_the_other(crew: Crew) -> None:
    watched = threading.Event()
    crew.door.answers([*SLOW[:13], Hold(watched), *SLOW[13:]])
    conversation = str(uuid4())
    with crew.lines() as (one, other):
        first = one.stream(CHAT, {"message": "Hi.", "conversation_id": conversation})
        first.next()
        where = f"{CHAT}/{conversation}/events"
        second = other.stream(where)
        whole = [second.next()]
        # It is followed as it happens: the engine says the rest only after this.
        while said(whole) != "a" * 5:
            whole.append(second.next())
        watched.set()
        whole += second.rest()
        assert said(whole) == "a" * 20
        assert whole[-1].name == "done"
        assert first.rest()[-1].name == "done"
        known = next(event.id for event in whole if event.id is not None)
        again = other.stream(where, headers={"Last-Event-ID": str(known)}).rest()
        assert said(again) == "a" * 20


def test_a_turn_that_comes_to_a_busy_conversation_waits_across_workers(crew: Crew) -> None:
    crew.door.answers(SLOW, openai_stream(["second"]))
    conversation = str(uuid4())
    with crew.lines() as (one, other), ThreadPoolExecutor(1) as waiting:
        first = one.stream(CHAT, {"message": "One.", "conversation_id": conversation})
        begun = first.next()
        asked = {"message": "Two.", "conversation_id": conversation}
        second = waiting.submit(lambda: other.stream(CHAT, asked).rest())
        assert said([begun, *first.rest()]) == "a" * 20
        ended = time.monotonic()
        assert said(second.result(60)) == "second"
        # Told by a notice; without one it would look by itself only after five seconds.
        assert time.monotonic() - ended < 4
    turns = crew.door.asked[1].json["messages"]
    assert [turn["content"] for turn in turns] == ["One.", "a" * 20, "Two."]


def test_a_worker_killed_in_a_turn_is_replaced_and_the_turn_ends(crew: Crew) -> None:
    crew.door.answers(ENDLESS, openai_stream(["yes"]))
    conversation = str(uuid4())
    with crew.lines() as (one, other), ThreadPoolExecutor(1) as watching:
        first = one.stream(CHAT, {"message": "One.", "conversation_id": conversation})
        assert "ab".startswith(first.next().json["content"])
        watched = other.stream(f"{CHAT}/{conversation}/events")
        seen = [watched.next()]
        # What another worker knows of is committed.
        while said(seen) != "ab":
            seen.append(watched.next())
        rest = watching.submit(watched.rest)
        os.kill(one.pid, signal.SIGKILL)
        end = rest.result(30)[-1]
        assert end.name == "error"
        assert "The server stopped" in end.json["message"]
        # The conversation is free, and what was said is kept.
        asked = {"message": "Two.", "conversation_id": conversation}
        assert said(other.stream(CHAT, asked).rest()) == "yes"
        turns = crew.door.asked[1].json["messages"]
        assert [turn["content"] for turn in turns] == ["One.", "ab", "Two."]
        assert one.pid not in crew.two()
        assert other.pid in crew.two()
    ended = crew.server.logged("a worker ended; another one takes its place")
    assert (ended["worker"], ended["how"]) == (one.pid, "was ended by SIGKILL")
    with crew.lines() as lines:
        for line in lines:
            answer = line.ask("POST", CHAT, {"message": "Hi.", "model": "nova-tiny"})
            assert "event: done" in answer.text


def begun_run(line: Line) -> str:
    """A run of an assistant on a thread of its own, carried out by this worker; its path."""
    assistant = line.ask("POST", "/v1/assistants", {"model": "scripted"}).json["id"]
    thread = {"messages": [{"role": "user", "content": "Hi."}]}
    asked = {"assistant_id": assistant, "thread": thread}
    run = line.ask("POST", "/v1/threads/runs", asked).json
    return f"/v1/threads/{run['thread_id']}/runs/{run['id']}"


def status(line: Line, run: str) -> str:
    return str(line.ask("GET", run).json["status"])


def test_a_run_is_cancelled_through_another_worker(crew: Crew) -> None:
    crew.door.answers(ENDLESS)
    with crew.lines() as (one, other):
        run = begun_run(one)
        eventually(lambda: crew.door.asked, 30)
        assert other.ask("POST", f"{run}/cancel").json["status"] in {"cancelling", "cancelled"}
        eventually(lambda: status(other, run) == "cancelled", 30)
        eventually(lambda: crew.door.asked[0].client_left_at_ns, 10)
        assert status(one, run) == "cancelled"


def test_a_run_of_a_worker_that_is_killed_is_carried_on_by_another(crew: Crew) -> None:
    crew.door.answers(ENDLESS, openai_stream(["carried", " on"]))
    with crew.lines() as (one, other):
        run = begun_run(one)
        eventually(lambda: crew.door.asked, 30)
        os.kill(one.pid, signal.SIGKILL)
        eventually(lambda: status(other, run) == "completed", 60)
        messages = other.ask("GET", f"{run.rpartition('/runs/')[0]}/messages").json["data"]
        said = [message["content"][0]["text"]["value"] for message in messages]
        assert said == ["carried on", "Hi."]
        assert len(crew.door.asked) == 2


def test_a_worker_that_is_told_to_end_is_replaced_and_its_llama_goes_on(crew: Crew) -> None:
    first, other = crew.two()
    llamas = crew.llamas
    crew.door.answers(SLOW)
    with crew.line(first) as line:
        stream = line.stream(CHAT, {"message": "Hi."})
        stream.next()
        os.kill(first, signal.SIGTERM)
        assert stream.rest()[-1].name == "done"
    eventually(lambda: not alive(first), 30)
    assert other in crew.two()
    assert crew.llamas == llamas


def test_a_llama_that_dies_is_started_again_for_all(crew: Crew) -> None:
    with crew.lines() as lines:
        for _ in range(2):
            (llama,) = eventually(lambda: crew.llamas)
            os.kill(llama, signal.SIGKILL)
            eventually(lambda llama=llama: not alive(llama))  # type: ignore[misc]
            time.sleep(0.2)
            for line in lines:
                answer = line.ask("POST", CHAT, {"message": "Hi.", "model": "nova-tiny"})
                assert "event: done" in answer.text, answer.text
        for line in lines:
            said = line.ask("GET", "/ready").json["engines"]["embedded"]
            assert said == {"ok": True, "detail": "llama.cpp, restarted 2 times"}
    assert len(crew.llamas) == 1


def test_sigterm_lets_the_streams_of_all_workers_finish(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    settings = {"NOVA_SHUTDOWN_TIMEOUT_S": "5"}
    with open_crew(tmp_path, postgres, "workers_end", settings) as crew, ThreadPoolExecutor(4) as t:
        crew.door.answers(SLOW, SLOW, ENDLESS, ENDLESS)
        with crew.lines() as slow, crew.lines() as endless:
            streams = [line.stream(CHAT, {"message": "Hi."}) for line in (*slow, *endless)]
            for stream in streams:
                stream.next()
            everyone = [*crew.workers, *crew.llamas]
            assert len(everyone) == 3
            crew.server.process.send_signal(signal.SIGTERM)
            ends = [end.result(60)[-1] for end in [t.submit(stream.rest) for stream in streams]]
        assert crew.server.process.wait(60) == 0
        assert [end.name for end in ends] == ["done", "done", "error", "error"]
        assert "shutting down" in ends[-1].data
        assert not [pid for pid in everyone if alive(pid)]
        assert "Traceback" not in crew.server.log_path.read_text()


def test_nobody_outlives_a_parent_that_is_killed(tmp_path: Path, postgres: PostgresServer) -> None:
    with open_crew(tmp_path, postgres, "workers_orphans", {}) as crew:
        crew.door.answers(ENDLESS)
        with crew.lines() as (one, _):
            one.stream(CHAT, {"message": "Hi."}).next()
            everyone = [*crew.workers, *crew.llamas]
            assert len(everyone) == 3
            crew.server.process.kill()
            eventually(lambda: not [pid for pid in everyone if alive(pid)], 20)


def test_a_worker_that_keeps_dying_is_started_less_and_less_often(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    settings = {"NOVA_EMBEDDED": "lazy"}
    with open_crew(tmp_path, postgres, "workers_dying", settings) as crew:
        first, _ = crew.two()
        waits = []
        for _ in range(4):
            known = set(crew.of("novasystem.serving.worker"))
            os.kill(first, signal.SIGKILL)
            killed = time.monotonic()
            first = eventually(
                lambda known=known: next(  # type: ignore[misc]
                    (pid for pid in crew.of("novasystem.serving.worker") if pid not in known), None
                ),
                30,
            )
            waits.append(time.monotonic() - killed)
        # Counted from the start of the one that died: the third comes a second after it.
        assert waits[-1] > 1.5
        # On first use, by whichever worker; there is one for both.
        assert crew.llamas == []
        with crew.lines() as lines, ThreadPoolExecutor(2) as both:
            body = {"message": "Hi.", "model": "nova-tiny"}
            asked = [both.submit(line.ask, "POST", CHAT, body) for line in lines]
            assert all("event: done" in answer.result(60).text for answer in asked)
        assert len(crew.llamas) == 1


def refused(folder: Path, *arguments: str, **settings: str) -> str:
    """What ``nova serve`` says where it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "novasystem", "serve", "--port", "0", *arguments],
        env=isolated_environment(folder, settings),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode in {1, 2}, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_several_workers_need_is_said(tmp_path: Path) -> None:
    assert "NOVA_DATABASE_URL" in refused(tmp_path, "--workers", "2")
    assert "--reload" in refused(tmp_path, "--workers", "2", "--reload")
    # Nobody listens there: the workers find out, and their parent says it.
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    told = refused(tmp_path, "--workers", "2", NOVA_DATABASE_URL=nowhere, NOVA_EMBEDDED="lazy")
    assert "Error: The data at" in told
    assert "cannot be used now" in told
