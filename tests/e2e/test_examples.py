"""Every example runs as its own text says, against the embedded model."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http.doors import Door
from tests.http.wire import ask
from tests.servers.answers import openai_stream
from tests.servers.nova import NovaServer, isolated_environment

EXAMPLES = Path(__file__).parents[2] / "examples"
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def run(name: str, *arguments: str, base_url: str, code: int = 0) -> str:
    path = EXAMPLES / name
    program = [sys.executable, str(path)] if path.suffix == ".py" else [str(path)]
    done = subprocess.run(
        [*program, "--base-url", base_url, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_PROXY": "*"},
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_there_is_a_test_for_every_example() -> None:
    names = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert names == {
        "list_models.py",
        "chat.py",
        "chat.sh",
        "market_analyst.py",
        "market_analyst.sh",
        "run_a_benchmark.py",
    }


def test_the_models_are_listed_with_their_engines(nova: NovaServer) -> None:
    assert run("list_models.py", base_url=f"{nova.url}/v1") == "nova-tiny\tembedded\n"


def test_a_conversation_is_held(nova: NovaServer) -> None:
    first, answer, second, another = run(
        "chat.py", "Hi.", "What is 2+3?", base_url=f"{nova.url}/v1"
    ).splitlines()
    assert (first, second) == ("> Hi.", "> What is 2+3?")
    assert answer
    assert another


def test_it_sends_earlier_turns_again(door: Door) -> None:
    door.answers(openai_stream(["Hello, Ada."]), openai_stream(["Ada."]))
    said = ["My name is Ada.", "Who am I?"]
    run("chat.py", "--model", "scripted", *said, base_url=f"{door.server.url}/v1")
    sent = [(turn["role"], turn["content"]) for turn in door.asked[1].json["messages"]]
    assert sent == [("user", said[0]), ("assistant", "Hello, Ada."), ("user", said[1])]


def test_a_market_analyst_is_asked_and_the_conversation_read_back(nova: NovaServer) -> None:
    asked = ["Which sectors gain when rates fall?", "And which lose?"]
    shown = run("market_analyst.py", *asked, base_url=f"{nova.url}/v1")
    lines = [line.partition(": ") for line in shown.splitlines()]
    assert [said for who, _, said in lines if who == "user"] == asked
    answers = [said for who, _, said in lines if who == "assistant"]
    assert len(answers) == 2
    assert all(answers)


def test_the_analyst_knows_what_was_said_before(door: Door) -> None:
    door.answers(openai_stream(["Rates."]), openai_stream(["Banks."]))
    said = ["What falls?", "And who loses?"]
    base_url = f"{door.server.url}/v1"
    shown = run("market_analyst.py", "--model", "scripted", *said, base_url=base_url)
    assert shown.splitlines()[1::2] == ["assistant: Rates.", "assistant: Banks."]
    sent = [(turn["role"], turn["content"]) for turn in door.asked[1].json["messages"]]
    assert sent[0][0] == "system"
    assert sent[0][1].startswith("You are a market analyst.")
    assert sent[1:] == [("user", said[0]), ("assistant", "Rates."), ("user", said[1])]


@needs_curl
def test_the_analyst_s_walk_takes_nothing_but_curl(nova: NovaServer) -> None:
    asked = 'Is "growth" \\ risk?'
    ran, read = run("market_analyst.sh", asked, base_url=f"{nova.url}/v1").splitlines()
    assert json.loads(ran)["status"] in {"completed", "incomplete"}
    question, answer = json.loads(read)["data"]
    assert (question["role"], answer["role"]) == ("user", "assistant")
    assert question["content"][0]["text"]["value"] == asked
    assert answer["content"][0]["text"]["value"]
    assert answer["run_id"] == json.loads(ran)["id"]


@needs_curl
def test_curl_shows_the_events(nova: NovaServer) -> None:
    events = run("chat.sh", "What is 2+3?", base_url=f"{nova.url}/v1")
    assert events.startswith('event: chunk\ndata: {"content":')
    assert events.rstrip().rpartition("event: ")[2].startswith("done\n")


@needs_curl
def test_quotation_marks_and_backslashes_arrive_as_they_are(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    said = "Say \"5\\n\" & 'x' $HOME 😀"
    run("chat.sh", said, base_url=f"{door.server.url}/v1")
    assert door.asked[0].json["messages"][0]["content"] == said


@needs_curl
def test_a_refusal_is_an_error_of_the_script(door: Door) -> None:
    assert "validation_error" in run("chat.sh", " ", base_url=f"{door.server.url}/v1", code=22)
    assert ask(door.port, "GET", "/health").status == 200


def test_a_benchmark_is_run_and_kept(tmp_path: Path) -> None:
    program = [sys.executable, str(EXAMPLES / "run_a_benchmark.py"), "--repeat", "2"]
    environment = isolated_environment(tmp_path)
    done = subprocess.run(
        program, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    *answers, ended, figures = done.stdout.splitlines()
    assert sum("(nova-tiny, " in line for line in answers) == 3
    assert ended.endswith(": completed")
    assert figures.startswith("nova-tiny: time to first token 0.")
    assert (tmp_path / "data/nova.db").exists()
