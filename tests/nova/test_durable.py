"""An ask outlives its server: killed at every stage, it goes on behind its last stored step."""

import json
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.crash.faults import WHERE, Fault, Where
from tests.crash.servers import Crashing, crashing
from tests.http.wire import ask, eventually, opened
from tests.nova.acting import Call, Company, Line, Play, Stalls, engine, plan, verdict
from tests.nova.asking import ASK, chain, ended, entry, read, screen, texts, until
from tests.nova.packaged import packaged
from tests.servers.nova import nova_server
from tests.servers.postgres import PostgresServer
from tests.servers.scripted import ScriptedServer, scripted_server

QUESTION = "What are A and B?"
PLAN = plan("Find A", "Find B", "Double the result of step 2")
STAGES = {
    "planner": "r1.plan",
    "executor": "r1.s3",
    "critic": "r1.critic",
    "closer": "close",
}
RESULT = "All: 1. Find A: <Find A>\n2. Find B: <Find B>\n3. Double the result of step 2: <Double>"


def executor(work: str) -> Line:
    title = work.rpartition("Step: ")[2]
    return "<Double>" if title.startswith("Double") else f"<{title}>"


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    with scripted_server() as server:
        yield Company(server)


@pytest.fixture(scope="module")
def servers(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashing]:
    folder = tmp_path_factory.mktemp("killed")
    with crashing(folder, engine(company.server)) as found:
        found.start()
        yield found


def stalled(stage: str) -> dict[str, Play]:
    """A play in which that stage is never over."""
    lines: dict[str, Play] = {"planner": PLAN, "executor": executor}
    if stage == "executor":
        lines["executor"] = lambda w: Stalls() if "Step: Double" in w else executor(w)
    else:
        lines[stage] = Stalls()
    return lines


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_server_s_ask_goes_on_behind_its_last_step(
    company: Company, servers: Crashing, stage: str
) -> None:
    company.plays(**stalled(stage))
    body = {"prompt": QUESTION, "mode": "team", "stream": True}
    with opened(servers.port, ASK, body) as stream:
        run_id = stream.headers["x-run-id"]
        seen = until(stream, "token", STAGES[stage])
        before = read(servers.port, run_id)
        servers.kill()
    assert before["status"] == "in_progress"
    done = chain(before)
    company.plays(planner=PLAN, executor=executor)
    servers.start()
    last = [event.id for event in seen if event.id is not None][-1]
    path = f"/api/nova/asks/{run_id}/events"
    with opened(servers.port, path, headers={"last-event-id": str(last)}) as stream:
        resumed = stream.rest()
    answer = ended(servers.port, run_id)
    assert answer["status"] == "completed", servers.said
    assert answer["text"] == RESULT
    # What was done is as it was, and nobody was asked for it again.
    assert chain(answer)[: len(done)] == done
    assert [entry(answer, step) for step in done] == before["chain_of_thought"]
    assert set(chain(answer)) == {
        "r1.plan", "r1.s1", "r1.s2", "r1.s3", "r1.critic", "close",
    }  # fmt: skip
    asked = ["planner", "executor", "executor", "executor", "critic", "closer"]
    assert len(company.acted) == len(asked) - len(done)
    # Whoever watched goes on with what stands, and sees the end.
    assert resumed[0].name == "replace"
    assert resumed[-1].name == "done"
    assert resumed[-1].json["text"] == RESULT
    entries, open_steps = screen([*seen, *resumed])
    assert open_steps == {}
    assert {name: one["text"] for name, one in entries.items()} == texts(answer)
    numbers = [event.id for event in resumed if event.id is not None]
    assert numbers == sorted(set(numbers))
    assert numbers[0] > last
    # One question and one answer in the session.
    session = ask(servers.port, "GET", f"/api/nova/sessions/{answer['session_id']}").json
    assert [(one["role"], one["text"]) for one in session["items"]] == [
        ("user", QUESTION),
        ("assistant", RESULT),
    ]


def test_killed_in_a_second_round_it_is_the_second_round_that_goes_on(
    company: Company, servers: Crashing
) -> None:
    rejected = verdict(False, "The step was not done right: Find A")
    company.plays(critic=[rejected, Stalls()])
    body = {"prompt": QUESTION, "mode": "team", "stream": True}
    with opened(servers.port, ASK, body) as stream:
        run_id = stream.headers["x-run-id"]
        until(stream, "token", "r2.critic")
        servers.kill()
    company.plays(critic=verdict(True))
    servers.start()
    answer = ended(servers.port, run_id)
    assert answer["status"] == "completed"
    assert chain(answer)[-3:] == ["r2.s1", "r2.critic", "close"]
    assert [one.agent for one in company.acted] == ["critic", "closer"]


def test_killed_again_and_again_it_comes_to_its_end(company: Company, servers: Crashing) -> None:
    company.plays(**stalled("planner"))
    with opened(servers.port, ASK, {"prompt": QUESTION, "mode": "team", "stream": True}) as stream:
        run_id = stream.headers["x-run-id"]
        until(stream, "token", "r1.plan")
        servers.kill()
    for stage in ("executor", "closer"):
        company.plays(**stalled(stage))
        servers.start()
        with opened(servers.port, f"/api/nova/asks/{run_id}/events") as stream:
            until(stream, "token", STAGES[stage])
            servers.kill()
    company.plays()
    servers.start()
    answer = ended(servers.port, run_id)
    assert answer["status"] == "completed"
    assert len(company.acted) == 1
    assert len(answer["chain_of_thought"]) == 6


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("on", ["sqlite", "postgres"])
def test_killed_between_the_closer_s_entry_and_the_answer_there_is_one_answer(
    company: Company, request: pytest.FixtureRequest, tmp_path: Path, on: str, where: Where
) -> None:
    """The last commit of an ask stores its answer and its end; the closer's entry was the one
    before."""
    settings, end = engine(company.server), "end"
    if on == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        settings["NOVA_DATABASE_URL"] = postgres.new_database(f"nova_closed_{where}")
        end = "end_joined"
    company.plays(planner=PLAN, executor=executor)
    with crashing(tmp_path, settings) as servers:
        servers.start(Fault("commit", where, 1, str(tmp_path / "points"), end))
        ask(servers.port, "GET", "/health", headers={"x-arm": "1"})
        body = {"prompt": QUESTION, "mode": "team", "stream": True}
        with opened(servers.port, ASK, body) as stream:
            run_id = stream.headers["x-run-id"]
            until(stream, "step_done", "close")
            assert servers.wait_for_death() == signal.SIGKILL
        company.plays(**dict.fromkeys(STAGES, "<asked again>"))
        servers.start()
        answer = ended(servers.port, run_id)
        assert (answer["status"], answer["text"]) == ("completed", RESULT), servers.said
        assert company.acted == []
        session = ask(servers.port, "GET", f"/api/nova/sessions/{answer['session_id']}").json
        assert [(one["role"], one["text"]) for one in session["items"]] == [
            ("user", QUESTION),
            ("assistant", RESULT),
        ]
        run = ask(servers.port, "GET", f"/api/runs/{run_id}").json
        with opened(servers.port, f"/api/runs/{run_id}/events") as stream:
            told = [event.name for event in stream.rest()]
        assert run["status"] == "completed"
        assert told.count("answered") == 1
        # It was the answer that was missing, and nothing where that was stored.
        assert told.count("restarted") == (where == "before")
        # The session is free for the next question.
        again = {"prompt": QUESTION, "session_id": answer["session_id"], "mode": "team"}
        company.plays(planner=PLAN, executor=executor)
        assert ask(servers.port, "POST", ASK, again).json["text"] == RESULT
    if on == "postgres":
        postgres.drop_database(f"nova_closed_{where}")


def test_each_entry_is_stored_before_the_next_agent_is_asked(
    company: Company, servers: Crashing
) -> None:
    stored: dict[str, list[str]] = {}

    def looking(agent: str, line: Line) -> Play:
        def say(work: str) -> Line:
            (newest,) = ask(servers.port, "GET", "/api/runs?kind=nova&limit=1").json["data"]
            stored[agent] = chain(read(servers.port, newest["id"]))
            return line

        return say

    company.plays(
        planner=looking("planner", plan("Find A")),
        executor=looking("executor", "<A>"),
        critic=looking("critic", verdict(True)),
        closer=looking("closer", "A"),
    )
    ask(servers.port, "POST", ASK, {"prompt": QUESTION, "mode": "team"})
    assert stored == {
        "planner": [],
        "executor": ["r1.plan"],
        "critic": ["r1.plan", "r1.s1"],
        "closer": ["r1.plan", "r1.s1", "r1.critic"],
    }


def is_quiet(servers: Crashing, run_id: str) -> bool:
    counts: list[int] = []
    for _ in range(2):
        counts.append(ask(servers.port, "GET", f"/api/runs/{run_id}").json["last_event"])
        time.sleep(0.2)
    return counts[0] == counts[1]


def test_a_call_that_was_made_is_not_made_again(company: Company, servers: Crashing) -> None:
    """Killed while the executor says what it makes of a tool's result."""
    call = Call("calculator", {"expression": "6 * 7"})
    company.plays(planner=plan("Find 6 * 7"), executor=[call, Stalls()])
    body = {"prompt": QUESTION, "mode": "team", "stream": True}
    with opened(servers.port, ASK, body) as stream:
        run_id = stream.headers["x-run-id"]
        seen = until(stream, "token", "r1.s1")
        assert [event.name for event in seen].count("tool") == 1
        # What is shown is stored a moment later: once nothing comes any more, all of it is.
        eventually(partial(is_quiet, servers, run_id))
        servers.kill()
    company.plays(executor="<told>")
    servers.start()
    step = entry(ended(servers.port, run_id), "r1.s1")
    assert [(one["name"], one["output"]) for one in step["tools"]] == [("calculator", "42")]
    (told,) = company.asked("executor")
    assert [m["content"] for m in told.messages if m["role"] == "tool"] == ["42"]
    with opened(servers.port, f"/api/nova/asks/{run_id}/events") as stream:
        assert [event.name for event in stream.rest()].count("tool") == 1


def test_a_call_that_was_interrupted_is_not_repeated(
    tmp_path: Path, scripted: ScriptedServer
) -> None:
    """The server dies while a tool is at work whose effect must not be had twice."""
    company = Company(scripted)
    called = tmp_path / "called"
    settings = {**engine(scripted), **packaged(tmp_path, called)}

    calls = (Call("record", {"what": "A"}), Call("look", {"what": "A"}))
    company.plays(planner=plan("Find A"), executor=[calls, "<never>"])
    body = {"prompt": QUESTION, "mode": "team", "stream": True}
    with nova_server(tmp_path, settings) as server, opened(server.port, ASK, body) as stream:
        run_id = stream.headers["x-run-id"]
        until(stream, "step_begun", "r1.s1")
        eventually(lambda: called.exists() and called.read_text(), 30)
        server.process.kill()
        server.process.wait()
    company.plays(executor="<told>")
    (tmp_path / "go").touch()
    with nova_server(tmp_path, settings) as server:
        answer = ended(server.port, run_id)
        step = entry(answer, "r1.s1")
        assert answer["status"] == "completed"
        steps = ask(server.port, "GET", f"/api/runs/{run_id}/steps").json["data"]
    assert called.read_text().splitlines() == ["record A", "look A"]
    assert [one["name"] for one in step["tools"]] == ["record", "look"]
    first, second = step["tools"]
    assert first["error"]["code"] == "call_interrupted"
    assert second["output"] == {"looked": 1}
    assert [one["status"] for one in steps if one["type"] == "call"] == ["unknown", "completed"]
    # The model was told what is known, and was not asked for the calls again.
    (told,) = company.asked("executor")
    results = [m["content"] for m in told.messages if m["role"] == "tool"]
    assert results[0].startswith("error: The call 'r1.s1/0.0'")
    assert json.loads(results[1]) == {"looked": 1}


def test_a_server_that_is_stopped_leaves_its_ask_to_the_next_start(
    tmp_path: Path, scripted: ScriptedServer
) -> None:
    company = Company(scripted)
    company.plays(**stalled("critic"))
    settings = {**engine(scripted), "NOVA_SHUTDOWN_TIMEOUT_S": "0.1"}
    body = {"prompt": QUESTION, "mode": "team", "stream": True}
    with nova_server(tmp_path, settings) as server, opened(server.port, ASK, body) as stream:
        run_id = stream.headers["x-run-id"]
        until(stream, "token", "r1.critic")
        server.process.terminate()
        assert stream.rest()[-1].name == "error"
    company.plays(planner=PLAN, executor=executor)
    with nova_server(tmp_path, settings) as server:
        answer = ended(server.port, run_id)
    assert answer["text"] == RESULT
    assert [one.agent for one in company.acted] == ["critic", "closer"]


def test_on_postgresql_an_ask_goes_on_too(
    company: Company, postgres: PostgresServer, tmp_path: Path
) -> None:
    address = postgres.new_database("nova_killed")
    settings = {**engine(company.server), "NOVA_DATABASE_URL": address}
    company.plays(**stalled("executor"))
    body = {"prompt": QUESTION, "mode": "team", "stream": True}
    try:
        with crashing(tmp_path, settings) as servers:
            servers.start()
            with opened(servers.port, ASK, body) as stream:
                run_id = stream.headers["x-run-id"]
                until(stream, "token", "r1.s3")
                servers.kill()
            company.plays(planner=PLAN, executor=executor)
            servers.start()
            answer = ended(servers.port, run_id)
            assert answer["text"] == RESULT, servers.said
            assert [one.agent for one in company.acted] == ["executor", "critic", "closer"]
            listed = ask(servers.port, "GET", "/api/nova/sessions").json["data"]
            assert [one["session_id"] for one in listed] == [answer["session_id"]]
    finally:
        postgres.drop_database("nova_killed")
