"""``nova chat`` on a terminal: what a person sees and can do."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command
from tests.servers.answers import Sleep, json_answer, openai_stream
from tests.servers.scripted import ScriptedServer, Seen

PATH = "/v1/chat/completions"


def _asked(scripted: ScriptedServer) -> list[Seen]:
    return [one for one in scripted.seen if one.path == PATH]


def _messages(scripted: ScriptedServer, number: int) -> list[tuple[str, str]]:
    said: list[dict[str, Any]] = _asked(scripted)[number].json["messages"]
    return [(message["role"], message["content"]) for message in said]


def _children(pid: int) -> list[str]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for one in lists for child in one.read_text().split()]


def test_a_conversation_is_remembered_until_it_is_cleared(
    asking: Command, scripted: ScriptedServer
) -> None:
    answers = [openai_stream([text]) for text in ("Hello Ada.", "Ada.", "Who knows?")]
    scripted.on("POST", PATH, *answers)
    with asking.terminal("chat", "--system", "Be brief.") as terminal:
        terminal.shows("> ")
        terminal.type("I am Ada.\n")
        terminal.shows("Hello Ada.\r\n")
        terminal.shows("> ")
        terminal.type("Who am I?\n")
        terminal.shows("Ada.\r\n")
        terminal.shows("> ")
        terminal.type("/clear\n/system off\n")
        terminal.shows("No instructions.")
        terminal.type("Who am I?\n")
        terminal.shows("Who knows?\r\n")
        terminal.shows("> ")
        terminal.type("/exit\n")
        assert terminal.exit_code() == 0
    assert _messages(scripted, 1) == [
        ("system", "Be brief."),
        ("user", "I am Ada."),
        ("assistant", "Hello Ada."),
        ("user", "Who am I?"),
    ]
    assert _messages(scripted, 2) == [("user", "Who am I?")]


def test_ctrl_c_stops_the_answer_at_the_engine_and_the_conversation_goes_on(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on(
        "POST", PATH, openai_stream(["word "] * 1000, pause_s=0.02), openai_stream(["Done."])
    )
    with asking.terminal("chat") as terminal:
        terminal.shows("> ")
        terminal.type("Go on and on.\n")
        terminal.shows("word word ")
        terminal.type("\x03")
        terminal.shows("Stopped.")
        scripted.wait_for(lambda server: _asked(server)[0].client_left_at_ns)
        terminal.shows("> ")
        terminal.type("Enough?\n")
        terminal.shows("Done.")
        terminal.shows("> ")
        terminal.type("not sent")
        terminal.shows("not sent")
        terminal.type("\x03")
        terminal.shows("> ")
        terminal.type("\x03")
        assert terminal.exit_code() == 130
    assert not _asked(scripted)[0].answered
    roles = [role for role, _ in _messages(scripted, 1)]
    assert roles == ["user", "assistant", "user"]
    assert _messages(scripted, 1)[1][1].startswith("word word ")
    assert "Traceback" not in terminal.seen


def test_a_failure_is_shown_and_forgotten(asking: Command, scripted: ScriptedServer) -> None:
    too_long = {"error": {"message": "the request exceeds the available context size"}}
    scripted.on(
        "POST",
        PATH,
        openai_stream(["Half"], finish=None, done=False),
        json_answer(400, too_long),
        openai_stream(["Whole."]),
    )
    with asking.terminal("chat") as terminal:
        terminal.shows("> ")
        terminal.type("One.\n")
        terminal.shows("Half\r\n")
        terminal.shows("Error: Engine 'openai'")
        terminal.shows("> ")
        terminal.type("More.\n")
        terminal.shows("exceeds the available context size")
        terminal.shows("'/clear' begins anew.")
        terminal.shows("> ")
        terminal.type("Two.\n")
        terminal.shows("Whole.")
        terminal.shows("> ")
        terminal.type("\x04")
        assert terminal.exit_code() == 0
    assert _messages(scripted, 2) == [("user", "Two.")]


def test_commands(asking: Command, scripted: ScriptedServer) -> None:
    scripted.on("POST", PATH, openai_stream(["Yes."]))
    with asking.terminal("chat") as terminal:
        terminal.shows("scripted · /help")
        terminal.shows("> ")
        terminal.type("/help\n")
        terminal.shows("/system TEXT")
        terminal.type("/model nowhere\n")
        terminal.shows("No model named 'nowhere'")
        terminal.type("/model openai/scripted\n")
        terminal.shows("Model: openai/scripted")
        terminal.type("/system Be kind.\n")
        terminal.shows("Instructions: Be kind.")
        terminal.type("/dance\n")
        terminal.shows("There is no command /dance")
        terminal.type("\n /etc/hosts: what is it?\n")
        terminal.shows("Yes.")
        terminal.shows("> ")
        terminal.type("/exit\n")
        assert terminal.exit_code() == 0
    assert _messages(scripted, 0) == [
        ("system", "Be kind."),
        ("user", "/etc/hosts: what is it?"),
    ]


def test_reasoning_is_dim_and_what_a_model_says_cannot_steer_the_terminal(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on("POST", PATH, openai_stream(["\x1b]0;owned\x07Safe."], reasoning=["Hm\x1b[2J."]))
    with asking.terminal("chat", "Hi.") as terminal:
        assert terminal.exit_code() == 0
    assert terminal.seen == "\x1b[2mHm[2J.\x1b[0m\r\n]0;ownedSafe.\r\n"


def test_a_file_gets_the_answers_and_the_terminal_the_rest(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on("POST", PATH, openai_stream(["One."]), openai_stream(["Two."]))
    answers = asking.folder / "answers.txt"
    with asking.terminal("chat", into=answers) as terminal:
        for number in (1, 2):
            terminal.shows("> ")
            terminal.type(f"{number}?\n")
        terminal.shows("> ")
        terminal.type("\x04")
        assert terminal.exit_code() == 0
    assert answers.read_text() == "One.\nTwo.\n"


def test_whoever_waits_is_told_for_what(asking: Command, scripted: ScriptedServer) -> None:
    scripted.on("POST", PATH, [Sleep(1.5), *openai_stream(["Here."])])
    with asking.terminal("chat", "Hi.") as terminal:
        terminal.shows("Waiting for scripted")
        assert terminal.exit_code() == 0
    assert terminal.plain.endswith("Here.\r\n")


def test_a_model_that_is_not_there_is_said_before_the_prompt(asking: Command) -> None:
    with asking.terminal("chat", "-m", "nowhere") as terminal:
        assert terminal.exit_code() == 2
    assert "> " not in terminal.plain


def test_json_needs_a_question(asking: Command) -> None:
    with asking.terminal("chat", "--json") as terminal:
        assert terminal.exit_code() == 2
    assert "'--json'" in terminal.plain


@pytest.mark.skipif(sys.platform != "linux", reason="looks for child processes in /proc")
def test_the_model_that_comes_along_answers_and_leaves_no_process(command: Command) -> None:
    with command.terminal("chat", "--max-tokens", "3", "--show-stats") as terminal:
        terminal.shows("> ")
        terminal.type("Hi.\n")
        terminal.shows("3 tokens out")
        terminal.shows("> ")
        terminal.type("Hi again.\n")
        terminal.shows("tokens out")
        terminal.shows("> ")
        (child,) = _children(terminal.process.pid)
        terminal.type("\x04")
        assert terminal.exit_code() == 0
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for child processes in /proc")
def test_an_engine_that_dies_at_the_prompt_is_back_for_the_next_question(command: Command) -> None:
    with command.terminal("chat", "--max-tokens", "3", "--show-stats") as terminal:
        terminal.shows("> ")
        terminal.type("Hi.\n")
        terminal.shows("tokens out")
        terminal.shows("> ")
        (first,) = _children(terminal.process.pid)
        os.kill(int(first), signal.SIGKILL)
        until = time.monotonic() + 20
        while _children(terminal.process.pid) in ([], [first]):
            assert time.monotonic() < until
            time.sleep(0.02)
        terminal.type("Hi.\n")
        terminal.shows("tokens out")
        assert "Error" not in terminal.seen
