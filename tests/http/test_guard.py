"""Who may ask: the Host, the Origin and Sec-Fetch-Site of a request."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from novasystem.errors import ConfigurationError
from novasystem.settings import load_settings
from tests.http.doors import COMPLETIONS, Door, open_door
from tests.http.wire import Answer, ask, raw

APP = "https://app.example.org"
WRITES = ["/api/v1/chat", COMPLETIONS, "/v1/embeddings", "/nowhere", "/docs", "/metrics"]


def get(port: int, *hosts: str, path: str = "/health") -> Answer:
    lines = "".join(f"host: {host}\r\n" for host in hosts)
    return raw(port, f"GET {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n".encode())


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:{port}",
        "LocalHost:1",
        "localhost.",
        "localhost.:{port}",
        "127.0.0.1",
        "127.0.0.1:{port}",
        "[::1]",
        "[::1]:{port}",
        "nova.lan",
        "NOVA.LAN:80",
    ],
)
def test_our_own_names_are_answered(guarded: Door, host: str) -> None:
    assert get(guarded.port, host.format(port=guarded.port)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "127.0.0.1.nip.io",
        "127.0.0.2",
        "127.1",
        "0.0.0.0",
        "0x7f.0.0.1",
        "2130706433",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::1].evil.example",
        "[::1]evil",
        "[::1",
        "::1",
        "localhost:80:90",
        "localhost:x",
        "localhost:",
        "localhost..",
        "user@localhost",
        "localhost@evil.example",
        "localhost/evil",
        "localhost, evil.example",
        "localhost evil.example",
        "xn--localhost",
        "app.example.org",
    ],
)
def test_a_foreign_name_is_refused_on_every_path(guarded: Door, host: str) -> None:
    """A page that lets its own name lead to 127.0.0.1 gets nothing, not even a state."""
    for path in ("/health", "/v1/models", "/docs", "/nowhere", "/openapi.json"):
        answer = get(guarded.port, host.format(port=guarded.port), path=path)
        assert answer.status == 403
        assert b"allowed_hosts" in answer.body
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_exactly_one_host_is_needed(guarded: Door, hosts: list[str]) -> None:
    answer = get(guarded.port, *hosts)
    assert answer.status == 400
    assert b"Host" in answer.body


def test_an_empty_host_is_refused(guarded: Door) -> None:
    assert get(guarded.port, "").status in {400, 403}


def test_the_target_s_own_authority_does_not_stand_in_for_the_host(guarded: Door) -> None:
    absolute = b"GET http://localhost/health HTTP/1.1\r\nhost: evil.example\r\n\r\n"
    assert raw(guarded.port, absolute).status == 403


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    more = {"NOVA_ALLOWED_HOSTS": "nova.lan", "NOVA_CORS_ORIGINS": APP}
    with open_door(tmp_path_factory.mktemp("guarded"), more) as door:
        yield door


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"origin": "http://127.0.0.1.evil.example"},
        {"origin": f"{APP}.evil.example"},
        {"origin": f"{APP}:444"},
        {"origin": "http://app.example.org"},
        {"origin": "file://"},
        {"origin": "http://[::1"},
        {"origin": "://"},
        {"origin": "é"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
    ids=str,
)
def test_a_write_from_a_page_elsewhere_is_refused(
    guarded: Door, path: str, headers: dict[str, str]
) -> None:
    answer = ask(guarded.port, "POST", path, {"message": "Hi."}, headers)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_every_writing_method_is_checked(guarded: Door, method: str) -> None:
    headers = {"origin": "https://evil.example"}
    assert ask(guarded.port, method, "/v1/models", {}, headers).status == 403


def test_a_second_origin_cannot_speak_for_the_first(guarded: Door) -> None:
    host = f"localhost:{guarded.port}"
    lines = f"host: {host}\r\norigin: https://evil.example\r\norigin: http://{host}\r\n"
    head = f"POST /v1/embeddings HTTP/1.1\r\n{lines}content-length: 2\r\nconnection: close\r\n\r\n"
    assert raw(guarded.port, f"{head}{{}}".encode()).status in {400, 403}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:{port}"},
        {"origin": "http://127.0.0.1:{port}", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": APP},
        {"origin": APP, "sec-fetch-site": "cross-site"},
    ],
    ids=str,
)
def test_our_own_pages_programs_and_listed_origins_may_write(
    guarded: Door, headers: dict[str, str]
) -> None:
    given = {name: value.format(port=guarded.port) for name, value in headers.items()}
    # The guard lets it through: what refuses it now is the body.
    assert ask(guarded.port, "POST", "/api/v1/chat", {}, given).status == 422


def test_reading_is_not_writing_but_shows_a_foreign_page_nothing(guarded: Door) -> None:
    answer = ask(guarded.port, "GET", "/v1/models", headers={"origin": "https://evil.example"})
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,authorization",
}


def test_a_listed_origin_s_preflight_is_answered(guarded: Door) -> None:
    answer = ask(guarded.port, "OPTIONS", COMPLETIONS, headers={"origin": APP, **PREFLIGHT})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == APP
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in answer.headers["vary"].lower()


def test_a_listed_origin_may_read_its_answer_and_its_request_id(guarded: Door) -> None:
    answer = ask(guarded.port, "POST", "/api/v1/chat", {}, {"origin": APP})
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["access-control-expose-headers"] == "x-request-id"


def test_another_origin_s_preflight_is_refused(guarded: Door) -> None:
    headers = {"origin": "https://evil.example", **PREFLIGHT}
    answer = ask(guarded.port, "OPTIONS", COMPLETIONS, headers=headers)
    assert answer.status == 400
    assert "access-control-allow-origin" not in answer.headers


def test_without_configured_origins_no_answer_speaks_of_cors(door: Door) -> None:
    for method in ("GET", "OPTIONS", "POST"):
        for path in ("/v1/models", COMPLETIONS):
            answer = ask(door.port, method, path, headers={"origin": APP, **PREFLIGHT})
            assert not [name for name in answer.headers if name.startswith("access-control-")]
            assert method == "GET" or answer.status in {403, 405}


def test_the_guard_stands_before_every_route_of_the_application(guarded: Door) -> None:
    """Whatever a later part adds to the description is refused here from its first day."""
    paths = ask(guarded.port, "GET", "/openapi.json").json["paths"]
    writes = [
        (method.upper(), re.sub(r"\{.*?\}", "x", path))
        for path, methods in paths.items()
        for method in methods
        if method not in {"get", "head", "options"}
    ]
    assert len(writes) >= 3
    for method, path in writes:
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
            assert ask(guarded.port, method, path, {}, headers).status == 403


def test_no_wildcard_is_taken_as_an_origin(tmp_path: Path) -> None:
    """``*`` would let every page in: the settings refuse it."""
    environment = {"NOVA_CONFIG_DIR": str(tmp_path), "NOVA_CORS_ORIGINS": "*"}
    with pytest.raises(ConfigurationError, match="origin"):
        load_settings(environment=environment)
