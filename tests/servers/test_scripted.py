"""The scripted server is what other tests rest on: each step does what it says."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator, Sequence

import aiohttp
import pytest

from tests.servers.answers import (
    Close,
    Reset,
    Send,
    Sleep,
    Stall,
    Step,
    chunked,
    cut,
    head,
    json_answer,
    ndjson,
    ollama_stream,
    openai_stream,
    resliced,
    sse,
    stream,
)
from tests.servers.scripted import ScriptedServer, Seen, scripted_server

GET = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connected:
        yield connected


def left(server: ScriptedServer) -> Seen | None:
    return next((seen for seen in server.seen if seen.client_left_at_ns), None)


def until_closed(client: socket.socket) -> bytes:
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def bodies(steps: Sequence[Step]) -> list[bytes]:
    """The payload of each chunk of a streamed answer."""
    sent = [step.data for step in steps if isinstance(step, Send)]
    return [data.partition(b"\r\n")[2][:-2] for data in sent[1:-1]]


async def test_answers_are_used_in_turn_and_the_last_one_repeats(server: ScriptedServer) -> None:
    server.on("GET", "/x", json_answer(200, 1), json_answer(500, 2))
    async with aiohttp.ClientSession() as session:
        for expected in [(200, 1), (500, 2), (500, 2)]:
            async with session.get(server.url + "/x?q=1") as answer:
                assert (answer.status, await answer.json()) == expected
        async with session.get(server.url + "/other") as answer:
            assert answer.status == 404
            assert "GET /other" in (await answer.json())["error"]["message"]
    assert [seen.connection for seen in server.seen] == [0, 0, 0, 0]
    assert (server.seen[0].path, server.seen[0].query) == ("/x", "q=1")
    assert all(seen.answered for seen in server.seen)


async def test_bodies_are_read_by_length_and_in_chunks(server: ScriptedServer) -> None:
    server.on("POST", "/x", json_answer(200, {}))

    async def pieces() -> object:
        yield b'{"a":'
        yield b" 2}"

    async with aiohttp.ClientSession() as session:
        for body in ({"json": {"a": 2}}, {"data": pieces()}):
            async with session.post(server.url + "/x", **body) as answer:
                assert answer.status == 200
    assert [seen.json for seen in server.seen] == [{"a": 2}, {"a": 2}]
    assert server.seen[1].headers["transfer-encoding"] == "chunked"


async def test_streams_leave_the_connection_usable(server: ScriptedServer) -> None:
    server.on("GET", "/x", openai_stream(["a", "\u2028é"]), ndjson({"b": 1}))
    async with aiohttp.ClientSession() as session:
        async with session.get(server.url + "/x") as answer:
            assert answer.content_type == "text/event-stream"
            assert "\u2028é" in (await answer.read()).decode()
        async with session.get(server.url + "/x") as answer:
            assert await answer.read() == b'{"b":1}\n'
    assert server.connections == 1


def test_a_sleep_keeps_to_the_schedule(server: ScriptedServer, client: socket.socket) -> None:
    server.on("GET", "/x", stream([b"_"] * 10, pause_s=0.02))
    client.sendall(GET)
    data, reads = b"", 0
    while not data.endswith(b"0\r\n\r\n"):
        data += client.recv(65536)
        reads += 1
        elapsed_ns = time.perf_counter_ns() - server.seen[0].at_ns
        assert elapsed_ns >= data.count(b"_") * 20_000_000
    assert data.count(b"_") == 10
    assert reads > 2


def test_close_ends_the_connection_in_order(server: ScriptedServer, client: socket.socket) -> None:
    server.on("GET", "/x", [head(), chunked(b"abc"), Close()])
    client.sendall(GET)
    assert until_closed(client).endswith(b"\r\n\r\n3\r\nabc\r\n")
    assert server.wait_for(lambda s: s.seen[0].answered)
    assert server.seen[0].client_left_at_ns is None


def test_a_connection_closed_although_keep_alive_was_announced(
    server: ScriptedServer, client: socket.socket
) -> None:
    server.on("GET", "/x", [*openai_stream(["a"]), Close()])
    client.sendall(GET)
    answer = until_closed(client)
    assert b"connection: close" not in answer
    assert answer.endswith(b"0\r\n\r\n")


def test_reset_breaks_the_connection(server: ScriptedServer, client: socket.socket) -> None:
    server.on("GET", "/x", [Reset()])
    client.sendall(GET)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


@pytest.mark.parametrize(
    "silence",
    [[Stall()], [Sleep(60)], [Send(b"x" * 1000)] * 100_000],
    ids=["stall", "sleep", "send"],
)
def test_a_client_that_leaves_is_noticed_at_once(
    server: ScriptedServer, client: socket.socket, silence: list[Step]
) -> None:
    server.on("GET", "/x", [head(), *silence])
    client.sendall(GET)
    client.recv(10)
    closed_at_ns = time.perf_counter_ns()
    client.close()
    seen = server.wait_for(left)
    assert seen.client_left_at_ns is not None
    assert 0 <= seen.client_left_at_ns - closed_at_ns < 500_000_000
    assert not seen.answered
    assert server.wait_for(lambda s: s.open_connections == 0)


async def test_until_lets_the_client_close(server: ScriptedServer) -> None:
    server.on("GET", "/x", [head(), Stall()])
    async with aiohttp.ClientSession() as session, session.get(server.url + "/x"):
        pass
    assert (await server.until(left)).path == "/x"


def test_a_fact_that_does_not_come_is_an_error(server: ScriptedServer) -> None:
    with pytest.raises(AssertionError, match="0 open"):
        server.wait_for(lambda s: s.seen, timeout_s=0.01)


def test_what_is_open_at_the_end_is_closed() -> None:
    with scripted_server() as server:
        server.on("GET", "/x", [Stall()])
        client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        client.sendall(GET)
        server.wait_for(lambda s: s.seen)
    with client:
        assert _gone(client)


def test_a_body_can_end_where_the_connection_ends(
    server: ScriptedServer, client: socket.socket
) -> None:
    server.on("GET", "/x", sse({"a": 1}, keep_alive=False))
    client.sendall(GET)
    opening, _, body = until_closed(client).partition(b"\r\n\r\n")
    assert b"connection: close" in opening
    assert b"chunked" not in opening
    assert body == b'data: {"a":1}\n\ndata: [DONE]\n\n'


def test_cut_keeps_the_first_bytes() -> None:
    whole = b"".join(step.data for step in openai_stream(["abc"]) if isinstance(step, Send))
    for size in (1, 60, 200, len(whole)):
        *sends, end = cut(openai_stream(["abc"]), size, Reset())
        assert b"".join(step.data for step in sends if isinstance(step, Send)) == whole[:size]
        assert end == Reset()


def test_resliced_sends_the_same_bytes(server: ScriptedServer, client: socket.socket) -> None:
    answer = [*sse("é\u2028" * 20), Close()]
    server.on("GET", "/x", resliced(answer, 3))
    client.sendall(GET)
    whole = b"".join(step.data for step in answer if isinstance(step, Send))
    assert until_closed(client) == whole


def test_an_openai_stream_has_its_parts_in_order() -> None:
    usage, timings = {"completion_tokens": 1}, {"predicted_ms": 2.0}
    steps = openai_stream(["hi"], reasoning=["hm"], usage=usage, timings=timings)
    *events, done = [body.removeprefix(b"data: ").strip() for body in bodies(steps)]
    role, thought, text, finish, last = [json.loads(event) for event in events]
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert thought["choices"][0]["delta"] == {"reasoning_content": "hm"}
    assert text["choices"][0]["delta"] == {"content": "hi"}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert (last["choices"], last["usage"], last["timings"]) == ([], usage, timings)
    assert done == b"[DONE]"


def test_an_ollama_stream_has_its_parts_in_order() -> None:
    thought, text, last = [
        json.loads(body) for body in bodies(ollama_stream(["hi"], thinking=["hm"]))
    ]
    assert thought["message"]["thinking"] == "hm"
    assert text["message"] == {"role": "assistant", "content": "hi"}
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 2)
    (cached,) = [json.loads(body) for body in bodies(ollama_stream([], durations={"a": 1}))]
    assert "prompt_eval_count" not in cached


def _gone(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_server_runs_beside_a_running_loop() -> None:
    async def inside() -> int:
        with scripted_server() as server:
            server.on("GET", "/x", json_answer(200, {}))
            async with aiohttp.ClientSession() as session, session.get(server.url + "/x") as got:
                return got.status

    assert asyncio.run(inside()) == 200
