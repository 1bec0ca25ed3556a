"""Doors that are loaded with the first request for one of them."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from starlette.routing import Route, Router

from novasystem.app import create_app
from novasystem.errors import ConfigurationError
from novasystem.http.later import Later
from novasystem.services import KINDS, LateServices
from novasystem.settings import load_settings
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
    assert ask(fresh.port, "GET", "/v1/").status == 404
    assert ask(fresh.port, "DELETE", "/v1/models").status == 405
    assert ask(fresh.port, "GET", "/absent").status == 404
    assert ask(fresh.port, "DELETE", "/v1/assistants").status == 405


def test_a_server_that_nobody_asks_has_none_of_them() -> None:
    loaded = _loaded("create_app()")
    assert [name for name in loaded if ".web." in name or name.endswith("_router")] == []
    behind = ("novasystem.assistants", "novasystem.benchmarks", "novasystem.nova")
    assert [name for name in loaded if name.startswith(behind)] == []


def test_a_page_needs_no_door_of_the_api() -> None:
    loaded = _loaded(
        "from fastapi.testclient import TestClient\n"
        "with TestClient(create_app(), base_url='http://localhost') as browser:\n"
        "    assert browser.get('/').status_code == 200"
    )
    assert "novasystem.web.benchmarks_pages" in loaded
    assert "novasystem.doors" not in loaded
    assert [name for name in loaded if name.endswith("_router")] == []


def _loaded(script: str) -> list[str]:
    """Our modules that a process has that made an application and did what ``script`` says."""
    whole = (
        f"import sys; from novasystem.app import create_app\n{script}\n"
        "print('\\n', *(name for name in sys.modules if name.startswith('novasystem.')))"
    )
    with TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "NOVA_EMBEDDED": "off",
            "NOVA_OLLAMA_URL": "off",
            "NOVA_DATA_DIR": folder,
            "NOVA_CONFIG_DIR": folder,
        }
        command = [sys.executable, "-c", whole]
        done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    return done.stdout.splitlines()[-1].split()


async def test_two_kinds_of_routes_are_never_made_at_once() -> None:
    """Modules that two threads import at once may meet half made."""
    router, lock, going, most = Router(), asyncio.Lock(), [0], [0]

    def make() -> list[Route]:
        going[0] += 1
        most[0] = max(most[0], going[0])
        time.sleep(0.05)
        going[0] -= 1
        return []

    async def said(*_: object) -> None:
        return None

    both = [Later(router, make, lock) for _ in range(2)]
    router.routes.extend(both)
    scope = {"type": "http", "method": "GET", "path": "/absent", "headers": []}
    await asyncio.gather(*(one.handle(dict(scope), said, said) for one in both))  # type: ignore[arg-type]
    assert most == [1]


def test_the_services_have_the_kinds_that_they_were_announced_with(tmp_path: Path) -> None:
    settings = load_settings(environment={"NOVA_DATA_DIR": str(tmp_path)})
    services: LateServices = create_app(settings).state.services
    assert services.made is None
    assert set(services.get().kinds) == set(KINDS)
    assert services.get() is services.made


def test_settings_that_cannot_be_used_are_told_before_the_start(tmp_path: Path) -> None:
    environment = {"NOVA_DATA_DIR": str(tmp_path), "NOVA_BENCHMARK_STORE": "mongo"}
    with pytest.raises(ConfigurationError, match="MongoDB"):
        create_app(load_settings(environment=environment))
    (tmp_path / "nova.toml").write_text("[agents.poet]\nmodel = 'm'\n")
    environment = {"NOVA_DATA_DIR": str(tmp_path), "NOVA_CONFIG_DIR": str(tmp_path)}
    with pytest.raises(ConfigurationError, match="poet"):
        create_app(load_settings(environment=environment))
