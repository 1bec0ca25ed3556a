"""With keys every route is closed without one; without any, only loopback is served."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

from novasystem.http.guard import Guard
from novasystem.settings import Settings
from tests.http.doors import Door, open_door
from tests.http.figures import State
from tests.http.wire import Answer, ask, raw, status_of
from tests.servers.answers import openai_stream
from tests.servers.nova import isolated_environment, nova_server

KEYS = ("nova_" + "k" * 40, "second-key")
OPEN = {"/health", "/ready"}
UNDESCRIBED = ["/docs", "/redoc", "/openapi.json", "/docs-assets/swagger-ui.css", "/", "/nowhere"]
NONE_OR_BAD: list[dict[str, str]] = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer "},
    {"authorization": "Bearer wrong"},
    {"authorization": f"Bearer {KEYS[0]}x"},
    {"authorization": f"Bearer {KEYS[0][:-1]}"},
    {"authorization": f"Bearer {','.join(KEYS)}"},
    {"authorization": f"Basic {KEYS[0]}"},
    {"authorization": KEYS[0]},
    {"authorization": f"Token Bearer {KEYS[0]}"},
    {"x-api-key": KEYS[0]},
    {"api-key": KEYS[0]},
    {"cookie": f"authorization=Bearer {KEYS[0]}"},
]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("locked"), {"NOVA_API_KEYS": ",".join(KEYS)}) as door:
        yield door


def routes(door: Door) -> list[tuple[str, str]]:
    bearer = {"authorization": f"Bearer {KEYS[0]}"}
    paths = ask(door.port, "GET", "/openapi.json", headers=bearer).json["paths"]
    described = [
        (method.upper(), re.sub(r"\{.*?\}", "scripted", path))
        for path, methods in paths.items()
        for method in methods
    ]
    return [*described, *(("GET", path) for path in UNDESCRIBED)]


def is_refused(answer: Answer) -> bool:
    assert not any(key.encode() in answer.body for key in KEYS)
    return answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"


def test_every_route_is_closed_without_a_key_and_open_with_one(locked: Door, state: State) -> None:
    locked.answers(openai_stream(["a"]))
    asked = routes(locked)
    assert len(asked) >= 10
    combinations = 0
    for method, path in asked:
        body: object = {} if method == "POST" else None
        for headers in NONE_OR_BAD:
            answer = ask(locked.port, method, path, body, headers)
            assert is_refused(answer) == (path not in OPEN), (method, path, headers)
            combinations += 1
        for key in KEYS:
            for scheme in ("Bearer", "bearer"):
                headers = {"authorization": f"{scheme} {key}"}
                assert status_of(locked.port, method, path, body, headers) not in {401, 403}
                combinations += 1
    assert not locked.asked
    state(f"{len(asked)} routes, {combinations} combinations of route and key: leaks 0")


@pytest.mark.parametrize(
    "path",
    [
        "//v1/models",
        "/v1/models/",
        "/V1/models",
        "/v1/./models",
        "/%761/models",
        "/health/../metrics",
        "/health/",
        "/ready?x=/health",
        "/health%2f..%2fmetrics",
        "/health;/metrics",
        "/metrics#/health",
    ],
)
def test_no_other_spelling_of_a_path_goes_around_the_key(locked: Door, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    answer = raw(locked.port, head.encode())
    assert answer.status in {400, 401} or (path.startswith("/ready?") and answer.status == 200)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "TRACE"])
def test_no_other_method_goes_around_the_key(locked: Door, method: str) -> None:
    head = f"{method} /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    assert raw(locked.port, head.encode()).status == 401


def test_a_key_does_not_open_a_foreign_name_or_origin(locked: Door) -> None:
    bearer = {"authorization": f"Bearer {KEYS[0]}"}
    assert ask(locked.port, "GET", "/v1/models", headers={**bearer, "host": "evil"}).status == 403
    foreign = {**bearer, "origin": "https://evil.example"}
    assert ask(locked.port, "POST", "/v1/embeddings", {}, foreign).status == 403


@pytest.mark.parametrize("path", ["/v1/models", "/api/v1/chat", "/metrics"])
def test_the_refusal_has_the_form_of_its_door(locked: Door, path: str) -> None:
    body = ask(locked.port, "GET", path).json
    said = (
        body["error"]["message"]
        if path.startswith("/v1")
        else body.get("detail") or body["message"]
    )
    assert "key" in said


def test_the_keys_are_in_no_log_line(locked: Door) -> None:
    for key in KEYS:
        ask(locked.port, "GET", "/v1/models", headers={"authorization": f"Bearer {key}"})
        assert key not in locked.server.log_path.read_text()


def start(folder: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "novasystem", "serve", "--port", "0", "--embedded", "off"],
        env=isolated_environment(folder, settings),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "nova.example"])
def test_an_address_that_others_reach_is_refused_without_a_key(tmp_path: Path, host: str) -> None:
    done = start(tmp_path, NOVA_HOST=host)
    assert done.returncode == 2
    assert "NOVA_API_KEYS" in done.stderr
    assert host in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("server", "status"),
    [
        (("127.0.0.1", 8000), 200),
        (("::1", 8000), 200),
        (("/run/nova.sock", None), 200),
        (None, 200),
        (("192.168.0.5", 8000), 403),
        (("fe80::1", 8000), 403),
    ],
    ids=str,
)
async def test_whoever_starts_it_without_a_key_opens_it_to_this_machine_alone(
    server: tuple[str, int | None] | None, status: int
) -> None:
    """``uvicorn --factory … --host 0.0.0.0`` goes around the check at the start."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/models",
        "server": server,
        "headers": [(b"host", b"localhost")],
    }
    await Guard(PlainTextResponse("in"), Settings())(scope, receive, send)
    assert sent[0]["status"] == status
    await Guard(PlainTextResponse("in"), Settings())({**scope, "path": "/health"}, receive, send)
    assert sent[2]["status"] == 200


def test_with_a_key_it_is_served_under_the_names_that_are_allowed(tmp_path: Path) -> None:
    settings = {"NOVA_HOST": "0.0.0.0", "NOVA_API_KEYS": KEYS[0], "NOVA_EMBEDDED": "off"}
    with nova_server(tmp_path, settings) as server:
        bearer = {"authorization": f"Bearer {KEYS[0]}"}
        assert ask(server.port, "GET", "/v1/models").status == 401
        assert ask(server.port, "GET", "/v1/models", headers=bearer).status == 200
        for name in ("0.0.0.0", "192.168.0.1", "evil.example"):
            answer = ask(server.port, "GET", "/health", headers={**bearer, "host": name})
            assert answer.status == 403
