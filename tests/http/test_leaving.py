"""A client that goes away, or does not read, stops the generation upstream, and nothing leaks."""

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.http.doors import COMPLETIONS, Door, open_door
from tests.http.figures import State
from tests.http.wire import ask, connect, eventually, metric, opened, request_bytes
from tests.servers.answers import Send, Stall, Step, chunked, head, openai_chunk, openai_stream, sse

CHAT = "/api/v1/chat"
HEAD_ONLY: list[Step] = [head(content_type="text/event-stream"), Stall()]
BEGUN: list[Step] = [*sse(openai_chunk({"content": "a"}), done=False)[:-1], Stall()]
SILENT: list[Step] = [Stall()]
ROUNDS = 125


def body(path: str, text: str, *, stream: bool = True) -> dict[str, object]:
    if path == CHAT:
        return {"message": text}
    return {"messages": [{"role": "user", "content": text}], "stream": stream}


WAYS = [
    pytest.param(CHAT, True, BEGUN, id="chat in mid-stream"),
    pytest.param(CHAT, True, SILENT, id="chat before the engine answers"),
    pytest.param(CHAT, True, HEAD_ONLY, id="chat before the first token"),
    pytest.param(COMPLETIONS, True, BEGUN, id="completion in mid-stream"),
    pytest.param(COMPLETIONS, True, SILENT, id="completion before the engine answers"),
    pytest.param(COMPLETIONS, False, BEGUN, id="whole completion in mid-generation"),
    pytest.param(COMPLETIONS, False, SILENT, id="whole completion before the engine answers"),
]


@pytest.mark.parametrize(("path", "stream", "answer"), WAYS)
def test_a_client_that_leaves_stops_the_generation_within_a_second(
    door: Door, path: str, stream: bool, answer: list[Step]
) -> None:
    door.answers(answer)
    with connect(door.port) as client:
        client.sendall(request_bytes(path, body(path, "Hi.", stream=stream)))
        door.upstream.wait_for(lambda upstream: door.asked)
        if stream and answer is BEGUN:
            data = b""
            while b'"a"' not in data:
                data += client.recv(65536)
        left_at_ns = time.perf_counter_ns()
    assert 0 <= door.left_after_s(left_at_ns) < 1


def test_a_client_that_leaves_while_embeddings_are_made_stops_them(door: Door) -> None:
    door.answers()
    door.upstream.on("POST", "/v1/embeddings", SILENT)
    with connect(door.port) as client:
        client.sendall(request_bytes("/v1/embeddings", {"input": "a"}))
        seen = door.upstream.wait_for(lambda upstream: upstream.seen)[-1]
        left_at_ns = time.perf_counter_ns()
    stopped = door.upstream.wait_for(lambda upstream: seen.client_left_at_ns)
    assert 0 <= stopped - left_at_ns < 1_000_000_000


def test_a_client_that_only_ends_its_own_sending_side_still_counts_as_gone_or_served(
    door: Door,
) -> None:
    """Half a close must not hang: the stream ends in order, one way or the other."""
    door.answers(openai_stream(["a"]))
    with connect(door.port) as client:
        client.sendall(request_bytes(CHAT, body(CHAT, "Hi."), more="connection: close\r\n"))
        client.shutdown(1)
        while client.recv(65536):
            pass
    assert eventually(lambda: metric(door.port, "nova_open_streams") == 0)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server of its own, whose open files nobody else changes."""
    limits = {"NOVA_FIRST_TOKEN_TIMEOUT_S": "60", "NOVA_BETWEEN_TOKENS_TIMEOUT_S": "60"}
    limits["NOVA_SEND_TIMEOUT_S"] = "2"
    with open_door(tmp_path_factory.mktemp("crowded"), limits) as door:
        yield door


def open_files(door: Door) -> int:
    """Less those of the database, of which it opens a bounded number as it needs them."""
    folder = Path(f"/proc/{door.server.process.pid}/fd")
    return sum("nova.db" not in _target(path) for path in folder.iterdir())


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


def resident_mib(door: Door) -> float:
    pages = int(Path(f"/proc/{door.server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_thousand_clients_leave_and_nothing_leaks(crowded: Door, state: State) -> None:
    left: dict[str, int] = {}
    lock = threading.Lock()

    def leave(text: str, path: str, stream: bool, begun: bool) -> None:
        with connect(crowded.port) as client:
            client.sendall(request_bytes(path, body(path, text, stream=stream)))
            crowded.upstream.wait_for(lambda _: any(text in s.body.decode() for s in crowded.asked))
            if stream and begun:
                client.recv(65536)
            with lock:
                left[text] = time.perf_counter_ns()

    def all_leave(rounds: int) -> None:
        for answer in (BEGUN, SILENT):
            crowded.answers(answer)
            ways = [(CHAT, True), (COMPLETIONS, True), (COMPLETIONS, False), (CHAT, True)]
            with ThreadPoolExecutor(10) as clients:
                jobs = [
                    clients.submit(leave, f"<{number} {way}>", path, stream, answer is BEGUN)
                    for number in range(rounds)
                    for way, (path, stream) in enumerate(ways)
                ]
                for job in jobs:
                    job.result()
            crowded.upstream.wait_for(lambda _: all(s.client_left_at_ns for s in crowded.asked))
            for seen in crowded.asked:
                asked = seen.json["messages"][0]["content"]
                late_ns.append((seen.client_left_at_ns or 0) - left[asked])

    late_ns: list[int] = []
    all_leave(3)  # connections and code that stay for good
    assert eventually(lambda: metric(crowded.port, "nova_open_streams") == 0)
    files = open_files(crowded)
    memory_mib = resident_mib(crowded)
    late_ns.clear()
    all_leave(ROUNDS)
    assert eventually(lambda: metric(crowded.port, "nova_open_streams") == 0)
    assert eventually(lambda: crowded.upstream.open_connections <= 2)
    grown = resident_mib(crowded) - memory_mib
    state(
        f"{len(late_ns)} clients left; upstream closed after at most {max(late_ns) / 1e6:.0f} ms; "
        f"open files {files} -> {open_files(crowded)}, memory +{grown:.1f} MiB"
    )
    assert len(late_ns) == 8 * ROUNDS
    assert max(late_ns) < 1e9
    assert eventually(lambda: open_files(crowded) <= files + 2)
    assert grown < 30
    crowded.answers(openai_stream(["well"]))
    assert "well" in ask(crowded.port, "POST", CHAT, body(CHAT, "Hi.")).text


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_client_that_does_not_read_is_dropped_and_the_generation_stopped(
    door: Door, path: str
) -> None:
    piece = chunked(b"data: %s\n\n" % json.dumps(openai_chunk({"content": "x" * 8000})).encode())
    endless: list[Step] = [head(content_type="text/event-stream"), *([piece] * 20_000)]
    door.answers(endless)
    started_ns = time.perf_counter_ns()
    with connect(door.port, receive_buffer=4096) as client:
        client.sendall(request_bytes(path, body(path, "Hi.")))
        took_s = door.left_after_s(started_ns, within_s=15)
    # NOVA_SEND_TIMEOUT_S is 1: the buffers fill first, and then it counts.
    assert 0.9 < took_s < 8
    assert eventually(lambda: metric(door.port, "nova_open_streams") == 0)


def test_a_client_that_pauses_for_less_than_the_limit_is_served(crowded: Door) -> None:
    """Five pauses of half a second: together more than the limit of two, each of them less."""
    pieces = [openai_chunk({"content": "x" * 20_000}) for _ in range(1500)]
    crowded.answers(sse(*pieces, openai_chunk({}, finish="stop")))
    with connect(crowded.port) as client:
        client.sendall(request_bytes(CHAT, body(CHAT, "Hi."), more="connection: close\r\n"))
        data, pauses = b"", 0
        while piece := client.recv(65536):
            data += piece
            if len(data) > (pauses + 1) * 5_000_000:
                pauses += 1
                time.sleep(0.5)
    assert pauses >= 5
    assert b"event: done" in data
    # What came together is one chunk.
    assert data.count(b"x" * 20_000) == 1500


def test_memory_stays_bounded_while_a_client_does_not_read(door: Door, state: State) -> None:
    before_mib = resident_mib(door)
    piece = chunked(b"data: %s\n\n" % json.dumps(openai_chunk({"content": "x" * 8000})).encode())
    whole = Send(piece.data * 10)
    door.answers([head(content_type="text/event-stream"), *([whole] * 2000)])
    with connect(door.port, receive_buffer=4096) as client:
        client.sendall(request_bytes(CHAT, body(CHAT, "Hi.")))
        eventually(lambda: door.asked)
        time.sleep(0.8)
        grown = resident_mib(door) - before_mib
    state(f"one stalled reader of a 160 MB answer: +{grown:.1f} MiB")
    assert grown < 30


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_open_streams_are_counted_while_they_are_open(door: Door, path: str) -> None:
    door.answers(BEGUN)
    with opened(door.port, path, body(path, "Hi.")) as stream:
        stream.next()
        assert metric(door.port, "nova_open_streams") == 1
    assert eventually(lambda: metric(door.port, "nova_open_streams") == 0)
