"""``nova chat`` with a question: one answer on standard output, and nothing else there."""

import json
from typing import Any

import pytest

from tests.cli.command import Command
from tests.servers.answers import json_answer, openai_stream
from tests.servers.scripted import ScriptedServer

PATH = "/v1/chat/completions"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3}


@pytest.fixture
def answered(asking: Command, scripted: ScriptedServer) -> Command:
    scripted.on("POST", PATH, openai_stream(["Hello", " there", "."], usage=USAGE))
    return asking


def _asked(scripted: ScriptedServer) -> dict[str, Any]:
    (seen,) = [one for one in scripted.seen if one.path == PATH]
    body: dict[str, Any] = seen.json
    return body


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["What is it?"], "", "What is it?"),
        ([], "From a pipe.\n", "From a pipe."),
        (["-"], "From a pipe.\r\n", "From a pipe."),
        (["Say more:"], "line 1\nline 2\n", "Say more:\n\nline 1\nline 2"),
        (["Grüße 🙂"], "\ufeff", "Grüße 🙂"),
    ],
)
def test_the_message_comes_from_argument_and_standard_input(
    answered: Command, scripted: ScriptedServer, arguments: list[str], stdin: str, message: str
) -> None:
    done = answered.run("chat", *arguments, stdin=stdin)
    assert (done.stdout, done.stderr) == ("Hello there.\n", "")
    assert _asked(scripted)["messages"] == [{"role": "user", "content": message}]


def test_every_option_reaches_the_engine(answered: Command, scripted: ScriptedServer) -> None:
    options = ["--temperature", "0", "--max-tokens", "9", "--seed", "4", "--system", "Be kind."]
    answered.run("chat", "-m", "openai/scripted", *options, "Hi.")
    asked = _asked(scripted)
    assert asked["model"] == "scripted"
    assert (asked["temperature"], asked["seed"]) == (0, 4)
    assert 9 in {asked.get("max_tokens"), asked.get("max_completion_tokens")}
    assert asked["messages"][0] == {"role": "system", "content": "Be kind."}


def test_json_holds_the_whole_answer(asking: Command, scripted: ScriptedServer) -> None:
    scripted.on(
        "POST",
        PATH,
        openai_stream(["Four."], reasoning=["2 + 2"], usage=USAGE, finish="length", pause_s=0.05),
    )
    done = asking.run("chat", "--json", "--max-tokens", "3", "2+2?")
    answer = json.loads(done.stdout)
    timings = answer.pop("timings")
    assert answer == {
        "model": "scripted",
        "text": "Four.",
        "reasoning": "2 + 2",
        "usage": {**USAGE, "cached_tokens": None, "reasoning_tokens": None},
        "finish_reason": "length",
    }
    # The role came after 50 ms, the first token after 100, the usage after 250.
    assert 0.09 < timings["ttft_s"] < timings["total_s"]
    assert timings["server"] is None
    assert done.stderr == ""


def test_reasoning_and_statistics_stay_out_of_the_answer(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on("POST", PATH, openai_stream(["Four."], reasoning=["2 + 2"], usage=USAGE))
    done = asking.run("chat", "--show-stats", "2+2?")
    assert done.stdout == "Four.\n"
    assert "2 + 2" not in done.stderr
    assert done.stderr.startswith("7 tokens in · 3 tokens out · first after ")


def test_a_pipe_gets_the_text_as_it_is(asking: Command, scripted: ScriptedServer) -> None:
    scripted.on("POST", PATH, openai_stream(["\x1b[1mbold", "\u2028", "🙂\n"]))
    assert asking.run("chat", "Hi.").stdout == "\x1b[1mbold\u2028🙂\n"


def test_characters_that_the_output_cannot_show_do_not_end_it(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on("POST", PATH, openai_stream(["3 €"]))
    assert asking.having(PYTHONIOENCODING="ascii").run("chat", "Hi.").stdout == "3 ?\n"


def test_an_answer_that_the_model_cut_off_says_so(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on("POST", PATH, openai_stream(["And then"], finish="length"))
    done = asking.run("chat", "Tell me all.")
    assert (done.stdout, done.stderr) == (
        "And then\n",
        "The answer was cut off at the model's limit.\n",
    )


def test_an_answer_that_breaks_off_ends_with_3(asking: Command, scripted: ScriptedServer) -> None:
    scripted.on("POST", PATH, openai_stream(["Half an"], finish=None, done=False))
    done = asking.run("chat", "Hi.", code=3)
    assert done.stdout == "Half an\n"
    assert done.stderr.startswith("Error: Engine 'openai'")
    as_json = asking.run("chat", "--json", "Hi.", code=3)
    assert as_json.stdout == ""


def test_an_engine_that_refuses_ends_with_3_and_a_bad_request_with_2(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on(
        "POST",
        PATH,
        json_answer(503, {"error": {"message": "out of memory"}}),
        json_answer(400, {"error": {"message": "seed too large"}}),
    )
    assert "out of memory" in asking.run("chat", "Hi.", code=3).stderr
    assert "seed too large" in asking.run("chat", "Hi.", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        ([], b"", "message is empty"),
        (["  "], b"\n", "message is empty"),
        (["-"], b"\xff\xfe", "not valid UTF-8"),
        (["-m", "nowhere", "Hi."], b"", "No model named 'nowhere'"),
        (["--temperature", "-1", "Hi."], b"", "'--temperature'"),
    ],
)
def test_what_cannot_be_asked_ends_with_2(
    asking: Command, arguments: list[str], stdin: bytes, said: str
) -> None:
    done = asking.run("chat", *arguments, stdin=stdin, code=2)
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_model_that_comes_along_answers_without_a_server(command: Command) -> None:
    done = command.run("chat", "--json", "--max-tokens", "4", "--seed", "1", "Hi.")
    answer = json.loads(done.stdout)
    assert answer["model"] == "nova-tiny"
    assert 1 <= answer["usage"]["completion_tokens"] <= 4
    assert answer["timings"]["server"]["decode_tokens"] >= 1
    assert done.stderr == ""
