"""What is seen of every request: its id, its headers, its log line, its figures."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from novasystem.app import create_app
from novasystem.settings import load_settings
from tests.http.doors import COMPLETIONS, Door
from tests.http.wire import Answer, ask, connect, eventually, metric, opened, request_bytes
from tests.servers.answers import openai_chunk, openai_stream, sse

CHAT = "/api/v1/chat"
SECRET = "canary-5f1c-prompt"
BROKEN = sse(openai_chunk({"content": "a"}), {"error": {"message": "no memory"}}, done=False)


@pytest.mark.parametrize("given", ["abc", "A.b-c_d:9", "x" * 128])
def test_a_given_request_id_comes_back(door: Door, given: str) -> None:
    answer = ask(door.port, "GET", "/health", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", "é", '"', "a;b", "<script>"])
def test_one_that_could_do_harm_does_not(door: Door, given: str) -> None:
    answer = ask(door.port, "GET", "/health", headers={"x-request-id": given})
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])


def every_kind(door: Door) -> Iterator[Answer]:
    yield ask(door.port, "GET", "/health")
    yield ask(door.port, "GET", "/metrics")
    yield ask(door.port, "GET", "/nowhere")
    yield ask(door.port, "GET", "/v1/nowhere")
    yield ask(door.port, "DELETE", "/v1/models")
    yield ask(door.port, "GET", "/docs-assets/redoc.standalone.js")
    yield ask(door.port, "GET", "/health", headers={"host": "evil.example"})
    yield ask(door.port, "POST", CHAT, {}, {"origin": "https://evil.example"})
    yield ask(door.port, "POST", CHAT, {})
    yield ask(door.port, "POST", CHAT, {"message": "Hi."})
    yield ask(door.port, "POST", COMPLETIONS, {"messages": [{"role": "user", "content": "Hi."}]})


def test_every_answer_has_an_id_and_headers_that_disarm_it(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    ids = set()
    for answer in every_kind(door):
        ids.add(answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert policy == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in answer.headers
    assert len(ids) == 11


def test_a_chat_s_line_has_its_ids_and_nothing_of_what_was_said(door: Door) -> None:
    door.answers(openai_stream([f"{SECRET}-answer"]))
    asked = {"message": SECRET, "conversation_id": "6f1c1f5e-0a4b-4d0e-9d3c-6b1f0e0f5a11"}
    ask(door.port, "POST", CHAT, asked, {"x-request-id": "chat-1"})
    line = eventually(
        lambda: next((e for e in door.server.log if e.get("request_id") == "chat-1"), None)
    )
    assert line["conversation_id"] == asked["conversation_id"]
    assert (line["event"], line["status"], line["path"]) == ("request", 200, CHAT)
    assert line["ms"] > 0
    assert line["level"] == "info"
    assert "timestamp" in line


def test_user_and_metadata_stand_in_the_line_of_their_request(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    body = {"messages": [{"role": "user", "content": SECRET}]}
    given = {"user": "someone", "metadata": {"run": "7", "level": "error"}}
    ask(door.port, "POST", COMPLETIONS, {**body, **given}, {"x-request-id": "completion-1"})
    line = eventually(
        lambda: next((e for e in door.server.log if e.get("request_id") == "completion-1"), None)
    )
    assert (line["user"], line["metadata"]) == ("someone", given["metadata"])
    assert line["level"] == "info"


def test_no_failure_brings_what_was_said_into_the_log(door: Door) -> None:
    key = "sk-canary-key"
    bearer = {"authorization": f"Bearer {key}"}
    bodies = [
        {"message": SECRET, "colour": SECRET},
        {"message": SECRET * 1000},
        {"message": SECRET, "conversation_id": SECRET},
        f'{{"message": "{SECRET}'.encode(),
        {"message": SECRET},
    ]
    for answer in (BROKEN, openai_stream([SECRET], finish=None, done=False)):
        door.answers(answer)
        for body in bodies:
            ask(door.port, "POST", CHAT, body, bearer)
        for stream in (False, True):
            asked = {"messages": [{"role": "user", "content": SECRET}], "stream": stream}
            ask(door.port, "POST", COMPLETIONS, asked, bearer)
            ask(door.port, "POST", COMPLETIONS, {**asked, "temperature": SECRET}, bearer)
    ask(door.port, "GET", "/health?q=" + SECRET, headers=bearer)
    log = door.server.log_path.read_text()
    assert SECRET not in log
    assert key not in log
    assert all(line.startswith("{") and json.loads(line) for line in log.splitlines())


def test_a_line_cannot_be_forged_through_the_path(door: Door) -> None:
    with connect(door.port) as sock:
        sock.sendall(b"GET /a%0a%22event%22:%22forged HTTP/1.1\r\nhost: localhost\r\n\r\n")
        sock.recv(1000)
    assert all(entry.get("event") != "forged" for entry in door.server.log)


def test_a_client_that_leaves_while_it_sends_its_body_is_no_error(door: Door) -> None:
    for path in (CHAT, COMPLETIONS, "/v1/embeddings"):
        before = metric(door.port, "nova_requests_total", endpoint=path, status="left")
        with connect(door.port) as sock:
            sock.sendall(request_bytes(path, b"x" * 1000)[:-500])
            time.sleep(0.05)
        assert eventually(
            lambda path=path, before=before: (
                metric(  # type: ignore[misc]
                    door.port, "nova_requests_total", endpoint=path, status="left"
                )
                == before + 1
            )
        )
    assert "Traceback" not in door.server.log_path.read_text()


def test_requests_latency_and_errors_are_counted_by_endpoint(door: Door) -> None:
    def figures() -> list[float]:
        counted = metric(door.port, "nova_requests_total", endpoint=CHAT, status="200")
        refused = metric(
            door.port, "nova_requests_total", endpoint=CHAT, status="422", method="POST"
        )
        length = metric(door.port, "nova_request_duration_seconds_count", endpoint=CHAT)
        seconds = metric(door.port, "nova_request_duration_seconds_sum", endpoint=CHAT)
        first = metric(door.port, "nova_time_to_first_byte_seconds_count", endpoint=CHAT)
        early = metric(door.port, "nova_errors_total", endpoint=CHAT, code="validation_error")
        late = metric(door.port, "nova_errors_total", endpoint=CHAT, code="engine_rejected")
        return [counted, refused, length, first, early, late, seconds]

    before = figures()
    door.answers(openai_stream(["a"] * 3, pause_s=0.05), BROKEN)
    ask(door.port, "POST", CHAT, {"message": "Hi."})
    ask(door.port, "POST", CHAT, {"message": "Hi."})
    ask(door.port, "POST", CHAT, {"message": ""})
    *grown, seconds = [b - a for a, b in zip(before, figures(), strict=True)]
    assert grown == [2, 1, 3, 3, 1, 1]
    assert 0.15 < seconds < 5


def test_a_failure_in_mid_stream_is_counted_for_completions_too(door: Door) -> None:
    def counted() -> float:
        labels = {"endpoint": COMPLETIONS, "code": "engine_rejected"}
        return metric(door.port, "nova_errors_total", None, **labels)

    before = counted()
    door.answers(BROKEN)
    asked = {"messages": [{"role": "user", "content": "Hi."}], "stream": True}
    with opened(door.port, COMPLETIONS, asked) as stream:
        stream.rest()
    assert eventually(lambda: counted() == before + 1)


def test_latency_is_a_histogram_that_prometheus_reads(door: Door) -> None:
    answer = ask(door.port, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'nova_request_duration_seconds_bucket{endpoint="/health",le="+Inf"}' in answer.text
    assert 'le="0.5"' in answer.text


def test_unknown_paths_make_no_series_of_their_own(door: Door) -> None:
    ask(door.port, "GET", "/scan/first")

    def series() -> int:
        return len(ask(door.port, "GET", "/metrics").text.splitlines())

    before = series()
    for number in range(20):
        ask(door.port, "GET", f"/scan/{number}")
        ask(door.port, "GET", f"/v1/models/absent-{number}")
        ask(door.port, "GET", f"/docs-assets/{number}.js")
    ask(door.port, "GET", "/v1/models/absent")
    # The endpoint with a name in its path may have come into being: one of each of its figures.
    assert series() <= before + 60
    assert "/scan/" not in ask(door.port, "GET", "/metrics").text
    assert "absent-3" not in ask(door.port, "GET", "/metrics").text


def test_what_nobody_foresaw_is_a_500_with_ids_and_one_line_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"NOVA_CONFIG_DIR": str(tmp_path), "NOVA_OLLAMA_URL": "off"}
    app = create_app(load_settings(environment=environment, embedded="off"))

    async def fails() -> None:
        raise RuntimeError(SECRET)

    for path in ("/v1/fails", "/api/fails"):
        app.add_api_route(path, fails)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        port = eventually(lambda: server.started and server.servers[0].sockets[0].getsockname()[1])
        answers = [ask(port, "GET", path) for path in ("/v1/fails", "/api/fails")]
        assert metric(port, "nova_requests_total", endpoint="/v1/fails", status="500") == 1
        assert metric(port, "nova_errors_total", code="internal_error") == 2
    finally:
        server.should_exit = True
        thread.join()
    logged = "".join(capsys.readouterr())
    for answer in answers:
        assert answer.status == 500
        assert SECRET not in answer.text
        assert answer.headers["x-request-id"]
        (error_id,) = re.findall(r"id ([0-9a-f]{16})", answer.text)
        assert error_id in logged
    assert answers[0].json["error"]["type"] == "server_error"
    assert answers[1].json["code"] == "internal_error"
    assert "Exception in ASGI application" not in logged
