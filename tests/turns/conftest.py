"""Engines whose tokens are counted by a scripted server, and a thread in a database."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.registry import Pool, Registry
from novasystem.storage.database import Database, database_url
from novasystem.storage.migrate import upgrade
from tests.servers.answers import Step, json_answer
from tests.servers.scripted import ScriptedServer, Seen

WINDOW = 400


@dataclass
class Counting:
    """An engine of vLLM's kind with a window of 400 tokens, in which every word is a token."""

    upstream: ScriptedServer
    registry: Registry
    counted: list[str] = field(default_factory=list)

    def tokenize(self, seen: Seen) -> list[Step]:
        text: str = seen.json["prompt"]
        self.counted.append(text)
        return json_answer(200, {"count": len(text.split()), "max_model_len": WINDOW})


@pytest_asyncio.fixture
async def counting(scripted: ScriptedServer) -> AsyncIterator[Counting]:
    model = {"id": "m", "object": "model", "created": 7, "owned_by": "vllm"}
    listed = {"object": "list", "data": [{**model, "max_model_len": WINDOW}]}
    scripted.on("GET", "/v1/models", json_answer(200, listed))
    registry = Registry([Pool("vllm", [OpenAIEngine("vllm", f"{scripted.url}/v1")])])
    made = Counting(scripted, registry)
    scripted.asks("POST", "/tokenize", made.tokenize)
    await registry.refresh()
    yield made
    await registry.aclose()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(database_url(None, tmp_path))
    upgrade(made, tmp_path / "backups")
    yield made
    made.close()
