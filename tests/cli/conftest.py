"""``nova`` alone, and ``nova`` before the scripted server."""

from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.servers.answers import json_answer
from tests.servers.scripted import ScriptedServer

MODELS = {"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "vllm"}]}


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def asking(command: Command, scripted: ScriptedServer) -> Command:
    """The scripted server is the only engine, and its model is the default."""
    scripted.on("GET", "/v1/models", json_answer(200, MODELS))
    return command.having(
        NOVA_EMBEDDED="off", NOVA_OPENAI_URL=scripted.url, NOVA_DEFAULT_MODEL="scripted"
    )
