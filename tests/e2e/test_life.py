"""How the server starts, ends, and outlives its engine."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.http.doors import COMPLETIONS, open_door
from tests.http.figures import State
from tests.http.wire import ask, connect, eventually, opened, request_bytes
from tests.servers.answers import Stall, openai_stream
from tests.servers.nova import NovaServer, isolated_environment, nova_server

CHAT = "/api/v1/chat"
TURN = [{"role": "user", "content": "Hi."}]


def children(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ending(port: int, number: int) -> str:
    """Open a stream, chat and completion in turn, and say how it ended."""
    if number % 2:
        with opened(port, CHAT, {"message": f"{number}"}) as stream:
            last = stream.rest()[-1]
        return last.name
    with opened(port, COMPLETIONS, {"messages": TURN, "stream": True}) as stream:
        last = stream.rest()[-1]
    return "done" if last.data == "[DONE]" else str(last.json["error"]["code"])


def test_a_shutdown_lets_streams_finish_and_ends_the_rest_with_a_word(
    tmp_path: Path, state: State
) -> None:
    settings = {"NOVA_SHUTDOWN_TIMEOUT_S": "4", "NOVA_HEARTBEAT_S": "15"}
    settings |= {"NOVA_BETWEEN_TOKENS_TIMEOUT_S": "60", "NOVA_FIRST_TOKEN_TIMEOUT_S": "60"}
    finishing = openai_stream(["a"] * 15, pause_s=0.1)
    endless = [*openai_stream(["a"], finish=None, done=False)[:-1], Stall()]
    with open_door(tmp_path, settings) as door, ThreadPoolExecutor(100) as clients:
        door.answers(*[finishing, endless] * 50)
        streams = [clients.submit(ending, door.port, number) for number in range(100)]
        eventually(lambda: len(door.asked) == 100, 20)
        time.sleep(0.3)
        started = time.monotonic()
        door.server.process.send_signal(signal.SIGTERM)
        ends = [stream.result(30) for stream in streams]
        code = door.server.process.wait(30)
        took_s = time.monotonic() - started
        counted = {end: ends.count(end) for end in set(ends)}
        state(f"SIGTERM with 100 live streams: {counted}, exit code {code} after {took_s:.1f} s")
        assert code == 0
        assert set(counted) == {"done", "error", "engine_unavailable"}
        assert counted["done"] == 50
        assert 3.5 < took_s < 20
        door.upstream.wait_for(lambda upstream: upstream.open_connections == 0)
        assert "Traceback" not in door.server.log_path.read_text()


def test_a_shutdown_leaves_no_child_behind(tmp_path: Path) -> None:
    with nova_server(tmp_path) as server:
        (child,) = children(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert not alive(child)


def test_a_whole_answer_in_the_making_is_given_time_too(tmp_path: Path) -> None:
    with open_door(tmp_path) as door, ThreadPoolExecutor(1) as one:
        door.answers(openai_stream(["a"] * 10, pause_s=0.15))
        asking = one.submit(ask, door.port, "POST", COMPLETIONS, {"messages": TURN})
        eventually(lambda: door.asked)
        door.server.process.send_signal(signal.SIGTERM)
        assert asking.result(20).json["choices"][0]["message"]["content"] == "a" * 10
        assert door.server.process.wait(20) == 0


def test_a_second_ctrl_c_ends_the_waiting(tmp_path: Path) -> None:
    with open_door(tmp_path, {"NOVA_SHUTDOWN_TIMEOUT_S": "60"}) as door:
        door.answers([*openai_stream(["a"], finish=None, done=False)[:-1], Stall()])
        with opened(door.port, CHAT, {"message": "Hi."}) as stream:
            stream.next()
            door.server.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            assert door.server.process.poll() is None
            door.server.process.send_signal(signal.SIGINT)
            assert door.server.process.wait(15) in {0, 130}
    assert "Traceback" not in door.server.log_path.read_text()


def first_piece_of(server: NovaServer, child: int, body: object, path: str) -> list[str]:
    """Start a stream, kill the engine after its first piece, and say which events came."""
    os.kill(child, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as one, opened_later(server.port, path, body) as sock:
        got = one.submit(lambda: sock.recv(65536))
        # The engine is let on in slices, so that it stands still once its first piece has come.
        until = time.monotonic() + 30
        while not got.done() and time.monotonic() < until:
            os.kill(child, signal.SIGCONT)
            time.sleep(0.004)
            os.kill(child, signal.SIGSTOP)
            time.sleep(0.02)
        os.kill(child, signal.SIGKILL)
        data = got.result(10)
        while piece := sock.recv(65536):
            data += piece
    return re.findall(r"event: (\w+)", data.decode())


@contextmanager
def opened_later(port: int, path: str, body: object) -> Iterator[socket.socket]:
    with connect(port) as sock:
        sock.sendall(request_bytes(path, body, more="connection: close\r\n"))
        yield sock


def test_an_engine_killed_in_mid_stream_is_an_error_event_and_the_next_request_is_answered(
    tmp_path: Path,
) -> None:
    with nova_server(tmp_path) as server:
        (child,) = children(server.process.pid)
        message = {"message": "Tell me a short story about a fox and a crow."}
        events = first_piece_of(server, child, message, CHAT)
        assert events[0] == "chunk"
        assert events[-1] == "error", "the engine was done before it could be killed"
        with opened(server.port, CHAT, {"message": "Hi."}) as stream:
            assert stream.rest()[-1].name == "done"
        (another,) = children(server.process.pid)
        assert another != child
        assert server.logged("llama.cpp ended unexpectedly; it is started again")
        assert eventually(lambda: ask(server.port, "GET", "/ready").status == 200)


def test_an_engine_killed_between_requests_is_not_noticed_by_anyone(tmp_path: Path) -> None:
    with nova_server(tmp_path) as server:
        for _ in range(2):
            (child,) = eventually(lambda: children(server.process.pid))
            os.kill(child, signal.SIGKILL)
            eventually(lambda child=child: not alive(child))  # type: ignore[misc]
            time.sleep(0.2)
            answer = ask(server.port, "POST", CHAT, {"message": "Hi."})
            assert answer.status == 200
            assert "event: done" in answer.text


def run(folder: Path, arguments: Sequence[str], **settings: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=isolated_environment(folder, {"NOVA_EMBEDDED": "off", **settings}),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_port_in_use_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with run(tmp_path, ["novasystem", "serve", "--port", str(port)]) as process:
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert str(port) in said
    assert "in use" in said
    assert "Traceback" not in said


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int, process: "subprocess.Popen[str]") -> bool:
    if process.poll() is not None:
        raise AssertionError(process.communicate()[0])
    try:
        return ask(port, "GET", "/health").status == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    "command",
    [
        ["uvicorn", "--factory", "novasystem.app:create_app", "--log-level", "warning", "--port"],
        ["novasystem", "serve", "--reload", "--port"],
    ],
    ids=["uvicorn --factory", "nova serve --reload"],
)
def test_other_ways_to_start(tmp_path: Path, command: list[str]) -> None:
    port = free_port()
    with run(tmp_path, [*command, str(port)]) as process:
        try:
            assert eventually(lambda: answers(port, process), 60)
            assert ask(port, "GET", "/v1/models").json == {"object": "list", "data": []}
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert "Traceback" not in said
    assert not [pid for pid in children(process.pid) if alive(pid)]
