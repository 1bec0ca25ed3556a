"""The command as a whole: help, version, speed, and the ways in which it ends."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from novasystem import __version__
from tests.cli.command import Command
from tests.servers.answers import Stall, head, openai_stream
from tests.servers.scripted import ScriptedServer

HEAVY = ["aiohttp", "fastapi", "pydantic", "rich", "structlog", "uvicorn", "xllamacpp"]


def test_help_lists_every_command(command: Command) -> None:
    shown = command.run("--help").stdout
    for name in ("serve", "models", "chat", "doctor", "bench"):
        assert f"\n  {name} " in shown


@pytest.mark.parametrize("name", ["serve", "models", "chat", "doctor"])
def test_each_command_has_examples_and_whole_sentences(command: Command, name: str) -> None:
    shown = command.run(name, "-h").stdout
    assert f"Examples:\n    nova {name}" in shown
    assert "..." not in shown


def test_version(command: Command) -> None:
    assert command.run("--version").stdout == f"nova {__version__}\n"


def test_without_a_command_it_shows_its_help(command: Command) -> None:
    done = command.run(code=2)
    assert "Examples:" in done.stdout + done.stderr


def test_an_unknown_command_is_a_usage_error(command: Command) -> None:
    assert "No such command 'chatt'" in command.run("chatt", code=2).stderr


def test_help_loads_nothing_heavy() -> None:
    script = "import json, sys, novasystem.cli.main; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not set(HEAVY) & set(json.loads(done.stdout))


def test_help_takes_little_time() -> None:
    """CPU time, the least of three: other work on the machine does not count."""

    def cpu_s() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    # Measuring coverage in the process would be measured too.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    taken: list[float] = []
    for _ in range(3):
        before = cpu_s()
        subprocess.run(
            [sys.executable, "-m", "novasystem", "--help"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        taken.append(cpu_s() - before)
    assert min(taken) <= 0.3, taken


def test_settings_that_cannot_be_used_end_it_with_2(command: Command) -> None:
    done = command.having(NOVA_EMBEDDED="sometimes").run("models", code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("Error: The setting 'embedded' (from NOVA_EMBEDDED)")
    assert "Traceback" not in done.stderr


def test_an_engine_out_of_reach_ends_it_with_3(command: Command) -> None:
    lost = command.having(NOVA_EMBEDDED="off", NOVA_OPENAI_URL="http://127.0.0.1:9")
    done = lost.run("chat", "-m", "openai/any", "Hi.", code=3)
    assert done.stderr.startswith("Error: Engine 'openai' does not answer at http://127.0.0.1:9")
    assert "Traceback" not in done.stderr
    traced = lost.run("chat", "-m", "openai/any", "--log-level", "debug", "Hi.", code=3)
    assert "Traceback" in traced.stderr


def test_ctrl_c_ends_it_quietly_and_stops_the_engine(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on("POST", "/v1/chat/completions", [head(content_type="text/event-stream"), Stall()])
    with asking.start("chat", "Hi.") as process:
        seen = scripted.wait_for(
            lambda s: next((one for one in s.seen if one.method == "POST"), None), 20
        )
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (130, b"", b"")
    scripted.wait_for(lambda _: seen.client_left_at_ns)
    assert time.monotonic() - stopped_at < 5


@pytest.mark.parametrize("arguments", [["models"], ["chat", "--json", "Hi."]])
def test_a_reader_that_leaves_is_no_error(
    asking: Command, scripted: ScriptedServer, arguments: list[str]
) -> None:
    scripted.on("POST", "/v1/chat/completions", openai_stream(["Hello."]))
    # Buffered, as it is by default: then only the flush at the end meets the closed pipe.
    with asking.having(PYTHONUNBUFFERED="").start(*arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr.read() == b""


def test_a_reader_that_leaves_in_mid_answer_stops_the_engine(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on("POST", "/v1/chat/completions", openai_stream(["word "] * 500, pause_s=0.02))
    with asking.start("chat", "Hi.") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == b"word "
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr.read() == b""
    seen = next(one for one in scripted.seen if one.method == "POST")
    scripted.wait_for(lambda _: seen.client_left_at_ns)
    assert not seen.answered
