"""``/health``, ``/ready``, and the documentation pages, which ask nobody else for anything."""

import html.parser
import http.client
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from tests.http.doors import Door, open_door
from tests.http.wire import ask, eventually, opened
from tests.servers.answers import openai_stream
from tests.servers.nova import nova_server

PAGES = ["/docs", "/redoc"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


def test_health_says_healthy(door: Door) -> None:
    answer = ask(door.port, "GET", "/health")
    assert (answer.status, answer.json["status"]) == (200, "healthy")
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", answer.json["version"])


def test_ready_tells_which_engines_answer(door: Door) -> None:
    said = ask(door.port, "GET", "/ready")
    assert said.status == 200
    assert said.json["status"] == "ready"
    assert said.json["engines"]["openai"]["ok"] is True
    assert (said.json["models"], said.json["default_model"]) == (2, "scripted")


def test_not_ready_while_no_model_answers(tmp_path: Path) -> None:
    with nova_server(tmp_path, {"NOVA_EMBEDDED": "off"}) as server:
        answer = ask(server.port, "GET", "/ready")
        assert (answer.status, answer.json["status"]) == (503, "not ready")
        assert ask(server.port, "GET", "/health").status == 200


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found += [given[name] for name in ("src", "href", "action") if name in given]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self._script = tag == "script" and "src" not in given

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_from_here_alone(door: Door, path: str) -> None:
    page = ask(door.port, "GET", path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    links = _Links()
    links.feed(page.text)
    assert not links.inline
    loaded = [link for link in links.found if not link.startswith("data:")]
    assert loaded
    for link in loaded:
        target = urlsplit(urljoin(f"{door.server.url}{path}", link))
        assert target.netloc == f"127.0.0.1:{door.port}"
        file = ask(door.port, "GET", target.path)
        assert file.status == 200
        assert file.body
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy.replace("'self'", "")


def test_the_description_shows_examples_of_every_body(door: Door) -> None:
    described = ask(door.port, "GET", "/openapi.json").json
    posts = {path: item["post"] for path, item in described["paths"].items() if "post" in item}
    stateless = {"/api/v1/chat", "/v1/chat/completions", "/v1/embeddings"}
    assert set(posts) >= stateless
    for path, operation in posts.items():
        assert operation["summary"]
        if "requestBody" not in operation:
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        name = schema["$ref"].rpartition("/")[2]
        examples = described["components"]["schemas"][name]["examples"]
        # Those of the assistants are tried where there is something for them to name.
        for example in examples if path in stateless else ():
            example = {**example, "model": "scripted"}
            door.answers(openai_stream(["a"]))
            if path != "/v1/embeddings":
                assert ask(door.port, "POST", path, example).status == 200, example


def test_every_reference_in_the_description_leads_somewhere(door: Door) -> None:
    text = ask(door.port, "GET", "/openapi.json").text
    schemas = ask(door.port, "GET", "/openapi.json").json["components"]["schemas"]
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert named
    assert named <= set(schemas)


def dump(url: str, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    assert CHROMIUM is not None
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-extensions --disable-dev-shm-usage "
        "--enable-logging=stderr --v=0 --virtual-time-budget=20000"
    )
    return subprocess.run(
        [CHROMIUM, *flags.split(), f"--user-data-dir={folder}", *more, "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@needs_chromium
@pytest.mark.parametrize(
    ("path", "shown"), [("/docs", "opblock-summary"), ("/redoc", "operation/")], ids=PAGES
)
def test_a_real_browser_shows_the_page_and_blocks_nothing_of_it(
    door: Door, tmp_path: Path, path: str, shown: str
) -> None:
    # Every name but ours leads nowhere: what asked another address would show as a failure.
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    done = dump(f"{door.server.url}{path}", tmp_path, nowhere)
    assert shown in done.stdout
    assert "/api/v1/chat" in done.stdout
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, console


def _ready(kept: http.client.HTTPConnection) -> tuple[int, dict[str, Any]]:
    kept.request("GET", "/ready")
    response = kept.getresponse()
    return response.status, json.loads(response.read())


def test_not_ready_while_the_last_streams_drain(tmp_path: Path) -> None:
    with open_door(tmp_path, {"NOVA_HEARTBEAT_S": "15"}) as door:
        door.answers(openai_stream(["a"] * 20, pause_s=0.1))
        kept = http.client.HTTPConnection("127.0.0.1", door.port, timeout=30)
        with opened(door.port, "/api/v1/chat", {"message": "Hi."}) as stream:
            assert stream.next().name == "chunk"
            assert _ready(kept)[0] == 200
            door.server.process.terminate()
            assert eventually(lambda: _ready(kept)[0] == 503)
            assert _ready(kept)[1]["status"] == "draining"
            assert stream.rest()[-1].name == "done"
        kept.close()
        assert door.server.process.wait(15) == 0
