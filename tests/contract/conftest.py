"""The engines that the contract holds for: each a real one, on the weights of the package."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from novasystem.engines.embedded import EmbeddedEngine
from novasystem.engines.ollama import OllamaEngine
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.protocol import Engine
from novasystem.engines.supervisor import ChildConfig
from tests.servers.llama import LlamaServer, llama_server
from tests.servers.ollama import OllamaServer

MODEL = "nova-tiny"


@dataclass(frozen=True)
class Subject:
    """An engine under contract. ``pid``: the process in whose tree the model runs."""

    engine: Engine
    pid: int
    any_name: bool = False
    """Whether it answers to every name of a model, as a server of one model may."""


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[LlamaServer]:
    with llama_server(tmp_path_factory.mktemp("llama"), gguf=weights) as server:
        yield server


@pytest.fixture(
    scope="module",
    params=["embedded", "llama.cpp", pytest.param("ollama", marks=pytest.mark.ollama)],
)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def subject(
    kind: str, request: pytest.FixtureRequest, weights: Path
) -> AsyncIterator[Subject]:
    if kind == "embedded":
        config = ChildConfig(weights, MODEL, context_tokens=1024, slots=2, threads=1)
        embedded = EmbeddedEngine("embedded", config)
        made = Subject(embedded, (await embedded.keeper.address()).pid)
    elif kind == "llama.cpp":
        llama: LlamaServer = request.getfixturevalue("llama")
        made = Subject(OpenAIEngine("llama", llama.url), llama.pid, any_name=True)
    else:
        ollama: OllamaServer = request.getfixturevalue("ollama")
        made = Subject(OllamaEngine("ollama", ollama.base_url), ollama.pid)
    try:
        yield made
    finally:
        await made.engine.aclose()
