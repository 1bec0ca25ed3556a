"""Doors that are loaded with the first request for one of them."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.http.wire import ask
from tests.servers.nova import NovaServer, nova_server

PATHS = (
    "/v1/assistants",
    "/api/benchmarks/history",
    "/api/runs",
    "/api/nova/agents",
    "/openapi.json",
)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[NovaServer]:
    """A server that nobody has asked for anything."""
    with nova_server(tmp_path, {"NOVA_EMBEDDED": "off"}, wait_for="listening") as server:
        yield server


def test_the_first_requests_are_answered_whichever_come_first(fresh: NovaServer) -> None:
    with ThreadPoolExecutor(10) as callers:
        answers = list(callers.map(lambda path: ask(fresh.port, "GET", path), PATHS * 2))
    assert [answer.status for answer in answers] == [200] * len(answers)


def test_the_description_of_all_doors_is_whole_at_once(fresh: NovaServer) -> None:
    described = ask(fresh.port, "GET", "/openapi.json").json["paths"]
    assert {"/v1/chat/completions", "/api/v1/chat", *PATHS[:4]} <= set(described)


def test_what_no_door_takes_is_refused_as_ever(fresh: NovaServer) -> None:
    assert ask(fresh.port, "DELETE", "/v1/models").status == 405
    assert ask(fresh.port, "GET", "/absent").status == 404
    assert ask(fresh.port, "DELETE", "/v1/assistants").status == 405


def test_a_server_that_nobody_asks_has_none_of_them() -> None:
    script = (
        "import sys; from novasystem.app import create_app; create_app(); "
        "found = [name for name in sys.modules if name.startswith('novasystem.')]; "
        "print(*[name for name in found if '.web.' in name or name.endswith('_router')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == []
