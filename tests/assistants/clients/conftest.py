"""One server for all versions of the client; each has a key, and so things, of its own."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.figures import state
from tests.servers.clients import VERSIONS, NoClient, client_python
from tests.servers.nova import NovaServer, nova_server
from tests.servers.scripted import scripted_server
from tests.servers.speaker import speaking

__all__ = ["state"]

Walks = dict[str, dict[str, Any]]
_ROOT = Path(__file__).parents[3]
_LIMIT_S = 300


@pytest.fixture(scope="session")
def assistants_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NovaServer]:
    with scripted_server() as upstream:
        speaking(upstream)
        more = {
            "NOVA_OPENAI_URL": f"{upstream.url}/v1",
            "NOVA_API_KEYS": ",".join(f"key-{version}" for version in VERSIONS),
        }
        with nova_server(tmp_path_factory.mktemp("clients"), more) as server:
            yield server


@pytest.fixture(scope="session")
def walked(assistants_server: NovaServer) -> Callable[[str], Walks]:
    """What the walks of one version saw, by name; they are taken once."""
    taken: dict[str, Walks] = {}

    def take(version: str) -> Walks:
        if version not in taken:
            taken[version] = _take(version, assistants_server)
        return taken[version]

    return take


def _take(version: str, server: NovaServer) -> Walks:
    try:
        python = client_python(version)
    except NoClient as error:
        pytest.skip(str(error))
    # A warning is an error here too, but for the one that calls this whole API deprecated.
    warnings = ["-W", "error", "-W", "ignore:The Assistants API is deprecated:DeprecationWarning"]
    warnings += ["-W", "ignore:deprecated:DeprecationWarning"]
    module = "tests.assistants.clients.walks"
    done = subprocess.run(
        [str(python), *warnings, "-m", module, f"{server.url}/v1", f"key-{version}"],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
        cwd=_ROOT,
        env={"NO_PROXY": "*", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    return {line["walk"]: line for line in lines}
