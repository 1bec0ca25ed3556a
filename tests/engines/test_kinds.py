"""From settings to engines: the visible dictionary, the short settings, entry points of others."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from novasystem.engines.embedded import EmbeddedEngine
from novasystem.engines.kinds import KINDS, build_registry
from novasystem.engines.ollama import OllamaEngine
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.registry import Registry
from novasystem.errors import ConfigurationError
from novasystem.settings import EngineSettings, Settings
from tests.servers.answers import json_answer
from tests.servers.scripted import ScriptedServer

OFF = Settings(embedded="off", ollama_url="off")


@asynccontextmanager
async def built(
    settings: Settings, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Registry]:
    registry = build_registry(settings, environment or {})
    try:
        yield registry
    finally:
        await registry.aclose()


def with_engines(**engines: EngineSettings) -> Settings:
    return OFF.model_copy(update={"engines": engines})


async def test_without_any_setting_there_are_nova_tiny_and_an_ollama_if_it_runs() -> None:
    async with built(Settings()) as registry:
        assert list(registry.pools) == ["embedded", "ollama"]
        embedded, ollama = registry.pools.values()
        assert isinstance(embedded.engines[0], EmbeddedEngine)
        assert isinstance(ollama.engines[0], OllamaEngine)
        assert ollama.engines[0].where == "http://127.0.0.1:11434"
        # Nobody is told of an Ollama that nobody asked for.
        assert (embedded.expected, ollama.expected) == (True, False)
        assert (await registry.resolve(None)).pool is embedded


async def test_the_short_settings_make_engines(weights: Path) -> None:
    settings = Settings(
        embedded="off",
        embedded_model=weights,
        ollama_url="http://127.0.0.1:9",
        openai_url=("http://127.0.0.1:7/v1", "http://127.0.0.1:8/v1"),
    )
    async with built(settings) as registry:
        assert {name: len(pool.engines) for name, pool in registry.pools.items()} == {
            "gguf": 1,
            "ollama": 1,
            "openai": 2,
        }
        assert registry.pools["ollama"].expected
        assert all(isinstance(e, OpenAIEngine) for e in registry.pools["openai"].engines)


async def test_an_engine_of_the_settings_replaces_the_short_one_of_its_name() -> None:
    mine = EngineSettings(kind="openai", addresses=("http://127.0.0.1:9",))
    async with built(Settings(embedded="off", engines={"ollama": mine})) as registry:
        assert registry.pools["ollama"].engines[0].kind == "openai"
        assert registry.pools["ollama"].expected


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (EngineSettings(kind="openai"), "no address"),
        (EngineSettings(kind="openai", addresses=("http://h",), flavour="x"), "flavour 'x'"),
        (EngineSettings(kind="openai", addresses=("localhost:8080",)), "localhost:8080"),
        (EngineSettings(kind="openai", addresses=("ftp://h/v1",)), "ftp://h/v1"),
        (EngineSettings(kind="ollama", addresses=("127.0.0.1:11434",)), "127.0.0.1:11434"),
        (EngineSettings(kind="ollama", addresses=("http://h:99999",)), "99999"),
        (EngineSettings(kind="embedded"), "no model_file"),
        (EngineSettings(kind="embedded", model_file=Path("/nowhere.gguf")), "/nowhere.gguf"),
        (EngineSettings(kind="vllm"), "unknown kind 'vllm'"),
        (EngineSettings(kind="openai", addresses=("http://h",), api_key_env="K"), "takes its key"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name_with_a_way_out(
    engine: EngineSettings, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as refusal:
        build_registry(with_engines(mine=engine), {})
    assert refusal.value.hint


async def test_the_key_comes_from_the_environment_that_is_named(scripted: ScriptedServer) -> None:
    scripted.on("GET", "/v1/models", json_answer(200, {"data": []}))
    engine = EngineSettings(kind="openai", addresses=(scripted.url,), api_key_env="MY_KEY")
    async with built(with_engines(mine=engine), {"MY_KEY": "sk-canary"}) as registry:
        await registry.refresh()
    assert scripted.seen[0].headers["authorization"] == "Bearer sk-canary"


async def test_the_bounds_of_the_settings_reach_the_queue() -> None:
    engine = EngineSettings(kind="openai", addresses=("http://h",), max_concurrent=1, max_queued=0)
    async with built(with_engines(mine=engine)) as registry:
        gate = registry.pools["mine"].gate
        await gate.enter(1)
        with pytest.raises(Exception, match="busy"):
            await gate.enter(1)
        gate.leave()


PLUGIN = """
from novasystem.engines.openai_http import OpenAIEngine


def make(name, settings, api_key):
    return [OpenAIEngine(name, address, flavour="openai") for address in settings.addresses]
"""


async def test_a_package_can_add_a_kind_of_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "nova_extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nova-extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[novasystem.engines]\nextra = nova_extra:make\n")
    (tmp_path / "nova_extra.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    settings = with_engines(mine=EngineSettings(kind="extra", addresses=("http://127.0.0.1:9",)))
    async with built(settings) as registry:
        assert isinstance(registry.pools["mine"].engines[0], OpenAIEngine)
        assert registry.pools["mine"].engines[0].name == "mine"
    with pytest.raises(ConfigurationError) as refusal:
        build_registry(with_engines(mine=EngineSettings(kind="other")), {})
    assert refusal.value.hint == f"Kinds: {', '.join(KINDS)}, extra."
    sys.modules.pop("nova_extra", None)
