"""``nova ask``: the answer on standard output, the steps on standard error, with and without a
server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.http.wire import ask as request
from tests.nova.acting import Company, Stalls, engine, plan
from tests.servers.nova import nova_server
from tests.servers.scripted import ScriptedServer


@pytest.fixture
def company(scripted: ScriptedServer) -> Company:
    acting = Company(scripted)
    acting.plays()
    return acting


@pytest.fixture
def asking(command: Command, scripted: ScriptedServer, company: Company) -> Command:
    return command.having(**engine(scripted))


def test_the_answer_alone_is_printed_and_the_steps_are_shown_beside(
    asking: Command, company: Company
) -> None:
    done = asking.run("ask", "--mode", "team", "What are A and B?")
    assert done.stdout == "All: 1. Find A: <Find A>\n2. Find B: <Find B>\n"
    lines = done.stderr.splitlines()
    shown = [line for line in lines if line[:1] == "\u2713"]
    assert shown[0] == '\u2713 planner: {"steps": ["Find A", "Find B"]}'
    assert sorted(shown[1:3]) == [
        "\u2713 executor Find A: <Find A>",
        "\u2713 executor Find B: <Find B>",
    ]
    assert [line.split(":")[0] for line in shown[3:]] == ["\u2713 critic", "\u2713 closer"]
    assert lines[-1].startswith("session ")
    assert "team of scripted" in lines[-1]
    assert len(company.asked("executor")) == 2


def test_json_holds_the_whole_answer_and_nothing_else_is_said(
    asking: Command, company: Company
) -> None:
    done = asking.run("ask", "--json", "-", stdin="What are A and B?\n")
    answer = json.loads(done.stdout)
    assert done.stderr == ""
    assert answer["text"].startswith(("All:", "Alone:"))
    assert answer["status"] == "completed"
    assert {"chain_of_thought", "metrics", "session_id", "run_id", "mode"} <= set(answer)
    assert "type" not in answer
    quiet = asking.run("ask", "--no-chain", "--mode", "single", "Hello?")
    assert quiet.stdout == "Alone: Hello?\n"
    assert len(quiet.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["ask", "--session", "no uuid", "Hello?"], 2, "UUID"),
        (["ask", "-m", "no-such-model", "Hello?"], 2, "no-such-model"),
        (["ask", "--max-rounds", "99", "Hello?"], 2, "max_rounds"),
        (["ask", " "], 2, "empty"),
        (["ask", "--server", "http://127.0.0.1:9", "Hello?"], 3, "does not answer"),
        (["ask", "--mode", "none", "Hello?"], 2, "mode"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_a_sentence(
    asking: Command, arguments: list[str], code: int, why: str
) -> None:
    done = asking.run(*arguments, code=code)
    assert why in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_an_engine_that_fails_ends_it_with_its_own_code(
    command: Command, scripted: ScriptedServer
) -> None:
    settings = engine(scripted)
    gone = {**settings, "NOVA_OPENAI_URL": "http://127.0.0.1:9/v1"}
    done = command.having(**gone).run("ask", "Hello?", code=3)
    assert "Error: " in done.stderr
    assert done.stdout == ""


@pytest.fixture
def served(
    tmp_path: Path, command: Command, scripted: ScriptedServer, company: Company
) -> Iterator[tuple[Command, int]]:
    """A server, and ``nova`` beside it on the same data, which has no engine of its own."""
    with nova_server(tmp_path, engine(scripted)) as server:
        lonely = {"NOVA_EMBEDDED": "off", "NOVA_PORT": str(server.port)}
        yield command.having(**lonely), server.port


def test_the_server_that_runs_is_asked(served: tuple[Command, int], tmp_path: Path) -> None:
    beside, port = served
    said = json.loads(beside.run("ask", "--json", "--mode", "team", "A and B?").stdout)
    there = request(port, "GET", f"/api/nova/asks/{said['run_id']}").json
    assert there["text"] == said["text"]
    elsewhere = beside.having(NOVA_DATA_DIR=str(tmp_path / "other"), NOVA_PORT="1")
    where = ["--server", f"http://127.0.0.1:{port}/"]
    done = elsewhere.run("ask", *where, "--mode", "single", "Hello?")
    assert done.stdout == "Alone: Hello?\n"
    # One that is not where the settings say is not waited for.
    lost = beside.having(NOVA_PORT="9").run("ask", "Hello?", code=3)
    assert "--server URL" in lost.stderr


def test_every_option_reaches_the_agents_and_a_session_goes_on(
    served: tuple[Command, int], company: Company
) -> None:
    beside, _ = served
    options = ["--temperature", "0.5", "--seed", "7", "--max-tokens", "90", "-m", "scripted"]
    done = beside.run("ask", "--json", "--no-chain", *options, "--mode", "single", "I am Ada.")
    first = json.loads(done.stdout)
    assert "chain_of_thought" not in first
    (alone,) = company.asked("single")
    asked = alone.seen.json
    assert (asked["temperature"], asked["seed"]) == (0.5, 7)
    assert 90 in {asked.get("max_tokens"), asked.get("max_completion_tokens")}
    more = ["--session", first["session_id"], "--mode", "single"]
    second = json.loads(beside.run("ask", "--json", *more, "Who am I?").stdout)
    assert second["session_id"] == first["session_id"]
    assert "I am Ada." in [one["content"] for one in company.asked("single")[-1].messages]
    company.plays(planner=plan("One", "Two", "Three"))
    limits = ["--max-steps", "1", "--max-rounds", "1", "--max-total-tokens", "9000"]
    done = beside.run("ask", "--mode", "team", *limits, "--timeout", "60", "Three things.")
    assert len(company.asked("executor")) == 1
    assert "limits reached: max_steps" in done.stderr


@pytest.mark.parametrize("with_server", [True, False])
def test_ctrl_c_cancels_the_ask(
    with_server: bool,
    asking: Command,
    served: tuple[Command, int],
    company: Company,
    tmp_path: Path,
) -> None:
    beside, port = served
    company.plays(executor=Stalls("Thinking"))
    command = beside if with_server else asking.having(NOVA_DATA_DIR=str(tmp_path / "own"))
    with command.terminal("ask", "--mode", "team", "A and B?") as terminal:
        terminal.shows("planner")
        terminal.shows("Thinking")
        terminal.type("\x03")
        assert terminal.exit_code() == 130
    assert "Traceback" not in terminal.plain
    # The engine was left, too.
    company.server.wait_for(
        lambda server: all(one.answered or one.client_left_at_ns for one in server.seen) or None, 20
    )
    if with_server:
        (session,) = request(port, "GET", "/api/nova/sessions").json["data"]
        found = request(port, "GET", f"/api/nova/sessions/{session['session_id']}").json
        assert "cancelled" in json.dumps(found)


def test_on_a_terminal_the_steps_move(asking: Command) -> None:
    with asking.terminal("ask", "--mode", "team", "A and B?") as terminal:
        assert terminal.exit_code() == 0
    assert "\u2713 closer: All:" in terminal.plain
    assert "1. Find A: <Find A>\r\n2. Find B: <Find B>\r\nsession " in terminal.plain
