"""Where a benchmark ran: this machine, made-up ones, and engines that answer or do not."""

import hashlib
import struct
import sys
from pathlib import Path

import psutil
import pytest

from novasystem.benchmarks.environment import model_environment, system_info
from novasystem.benchmarks.telemetry import ByPid, ByPort, Sampler, finder, impact
from novasystem.benchmarks.telemetry.gpu import Gpus
from novasystem.benchmarks.telemetry.servers import NotSeen, Server
from novasystem.benchmarks.weights import file_digest
from novasystem.engines.embedded import EmbeddedEngine
from novasystem.engines.gguf import quantization
from novasystem.engines.keeper import ChildConfig
from novasystem.engines.ollama import OllamaEngine
from novasystem.engines.openai_http import OpenAIEngine
from tests.benchmarks.cards import Card, FakeNvml
from tests.servers.answers import json_answer
from tests.servers.ollama import OllamaServer
from tests.servers.scripted import ScriptedServer

_GIB = 2**30


def test_this_machine_is_described() -> None:
    found = system_info(gpus=Gpus(FakeNvml([])))
    assert found.cpu.total_cores == psutil.cpu_count()
    assert found.python_version == ".".join(map(str, sys.version_info[:3]))
    assert found.processor
    assert found.platform
    # In GiB: some hundreds of MiB at least, and not the bytes.
    assert 0.2 < found.memory.total < 65_536
    assert 0 < found.memory.available <= found.memory.total
    assert 0 < found.memory.percent_used <= 100
    assert found.gpu == ()


def test_a_machine_with_cards_and_governors(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n")
    for core, governor in enumerate(["performance", "powersave", "performance"]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
    library = FakeNvml([Card(), Card(name="NVIDIA L4", total=24 * _GIB)])
    found = system_info(gpus=Gpus(library), root=tmp_path)
    assert found.processor == "Some CPU @ 3 GHz"
    assert found.cpu.governor == "performance, powersave"
    assert [(gpu.name, gpu.memory_total, gpu.driver) for gpu in found.gpu] == [
        ("NVIDIA H200", 140, "570.86.10"),
        ("NVIDIA L4", 24, "570.86.10"),
    ]


def test_what_a_machine_does_not_say_is_absent(tmp_path: Path) -> None:
    found = system_info(gpus=Gpus(FakeNvml([], broken="no driver")), root=tmp_path)
    assert found.cpu.governor is None
    assert found.processor
    assert found.cpu.max_frequency != 0
    assert found.cpu.min_frequency != 0


def _sha256(file: Path) -> str:
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def _size(file: Path) -> int:
    return file.stat().st_size


async def test_the_embedded_engine_and_its_file(weights: Path) -> None:
    engine = EmbeddedEngine("embedded", ChildConfig(weights, "nova-tiny", 512, 1, threads=1))
    try:
        found = await model_environment(engine, "nova-tiny")
    finally:
        await engine.aclose()
    assert found.engine_kind == "embedded"
    assert found.engine_version is not None
    assert found.engine_version.startswith("xllamacpp ")
    assert found.digest == _sha256(weights)
    assert found.quantization == "F16"
    assert (found.context_tokens, found.threads) == (512, 1)
    assert found.size_bytes == _size(weights)


async def test_the_embedded_child_is_found_and_its_memory_measured(weights: Path) -> None:
    engine = EmbeddedEngine("embedded", ChildConfig(weights, "nova-tiny", 512, 1, threads=1))
    find = finder(engine)
    try:
        with pytest.raises(NotSeen):
            find()
        await engine.load("nova-tiny")
        [process] = find()
        assert process.pid == engine.child_pid
        assert process.ppid() == psutil.Process().pid
        with Sampler({"embedded": find}, hz=20, gpus=Gpus(FakeNvml([]))) as sampler:
            await engine.health()
        rows = sampler.readings().rows
        found = impact(sampler.readings(), rows[0].at_ns, rows[-1].at_ns + 1, server="embedded")
        assert found.server_memory is not None
        assert found.server_memory * _GIB > _size(weights)
        # Out of memory and in again, as before each request of a cold phase: another process.
        await engine.unload("nova-tiny")
        with pytest.raises(NotSeen):
            find()
        await engine.load("nova-tiny")
        assert [again.pid for again in find()] == [engine.child_pid] != [process.pid]
    finally:
        await engine.aclose()


def _ollama(scripted: ScriptedServer) -> None:
    details = {"parameter_size": "1.2B", "quantization_level": "Q4_K_M", "family": "llama"}
    item = {"name": "m:latest", "digest": "abc123", "size": 800, "details": details}
    scripted.on("GET", "/api/tags", json_answer(200, {"models": [item]}))
    scripted.on("GET", "/api/ps", json_answer(200, {"models": []}))
    scripted.on("POST", "/api/show", json_answer(200, {"parameters": "num_ctx 2048"}))
    scripted.on("GET", "/api/version", json_answer(200, {"version": "0.12.1"}))


async def test_ollama_says_what_it_runs_and_the_request_may_say_more(
    scripted: ScriptedServer,
) -> None:
    _ollama(scripted)
    engine = OllamaEngine("ollama", scripted.url)
    try:
        found = await model_environment(engine, "m:latest", shown_as="ollama/m")
        asked = await model_environment(engine, "m", options={"num_ctx": 512, "num_thread": 3})
    finally:
        await engine.aclose()
    assert found.model == "ollama/m"
    assert found.engine_version == "0.12.1"
    assert (found.digest, found.quantization, found.parameters) == ("abc123", "Q4_K_M", "1.2B")
    assert (found.context_tokens, found.threads) == (2048, None)
    assert (asked.context_tokens, asked.threads) == (512, 3)


@pytest.mark.parametrize(
    ("owner", "path", "said", "version"),
    [
        ("vllm", "/version", {"version": "0.32.0"}, "0.32.0"),
        ("llamacpp", "/props", {"build_info": "b11549-abc"}, "b11549-abc"),
        ("sglang", "/get_server_info", {"version": "0.9"}, "0.9"),
        ("vllm", "/version", {}, None),
        ("someone", "/version", {"version": "1"}, None),
    ],
)
async def test_compatible_servers_say_their_version_each_at_its_own_place(
    scripted: ScriptedServer, owner: str, path: str, said: dict[str, str], version: str | None
) -> None:
    models = {"data": [{"id": "m", "object": "model", "owned_by": owner}]}
    scripted.on("GET", "/v1/models", json_answer(200, models))
    scripted.on("GET", path, json_answer(200, said))
    engine = OpenAIEngine("other", scripted.url)
    try:
        found = await model_environment(engine, "m")
    finally:
        await engine.aclose()
    assert found.engine_version == version
    assert found.model == "m"


async def test_an_engine_that_does_not_answer_leaves_gaps(scripted: ScriptedServer) -> None:
    scripted.on("GET", "/api/tags", json_answer(500, {"error": "broken"}))
    scripted.on("GET", "/api/ps", json_answer(200, {"models": []}))
    engine = OllamaEngine("ollama", scripted.url)
    try:
        found = await model_environment(engine, "m")
    finally:
        await engine.aclose()
    assert (found.digest, found.engine_version, found.context_tokens) == (None, None, None)
    assert found.address == engine.where


def test_servers_here_are_looked_for_by_port_and_others_are_not() -> None:
    assert isinstance(finder(OllamaEngine("ollama", "http://127.0.0.1:11434")), ByPort)
    assert isinstance(finder(OllamaEngine("ollama", "http://localhost:11434")), ByPort)
    assert not isinstance(ByPid(lambda: 1), ByPort)
    elsewhere = finder(OpenAIEngine("other", "https://192.0.2.1/v1"))
    with pytest.raises(NotSeen, match="another machine"):
        elsewhere()


def _gguf(path: Path, *pairs: bytes) -> Path:
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))
    return path


def _key(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def test_the_quantization_is_read_past_whatever_stands_before_it(tmp_path: Path) -> None:
    before = [
        _key("general.architecture", 8, _text("llama")),
        _key("a.flag", 7, b"\x01"),
        _key("a.number", 10, struct.pack("<Q", 7)),
        _key("a.list", 9, struct.pack("<IQ", 4, 3) + bytes(12)),
        _key("general.tags", 9, struct.pack("<IQ", 8, 2) + _text("x") + _text("yz")),
    ]
    file_type = _key("general.file_type", 4, struct.pack("<I", 15))
    assert quantization(_gguf(tmp_path / "a", *before, file_type)) == "Q4_K_M"
    unknown = _key("general.file_type", 4, struct.pack("<I", 999))
    assert quantization(_gguf(tmp_path / "b", unknown)) == "type 999"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"not a model at all, but long enough to be taken for one",
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63) + struct.pack("<Q", 2**63),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + _key("k", 8, struct.pack("<Q", 2**64 - 1)),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + _key("k", 99, b""),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + _key("k", 9, struct.pack("<IQ", 8, 2**40)),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + _key("k", 9, struct.pack("<IQ", 12, 2**61)),
    ],
)
def test_a_broken_file_has_no_quantization(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(data)
    assert quantization(file) is None
    assert quantization(tmp_path / "none.gguf") is None


def test_the_digest_of_a_large_file_sees_its_ends_and_its_size(tmp_path: Path) -> None:
    file = tmp_path / "large.gguf"
    digests = set()
    for size, first, last in ((300, 0, 0), (300, 1, 0), (300, 0, 1), (301, 0, 0)):
        with file.open("wb") as opened:
            # A hole: no disk is filled.
            opened.truncate(size * 2**20)
            opened.write(bytes([first]))
            opened.seek(-1, 2)
            opened.write(bytes([last]))
        digest = file_digest(file)
        assert digest.startswith("sampled-sha256:")
        digests.add(digest)
    assert len(digests) == 4


@pytest.mark.ollama
async def test_ollamas_runner_is_found_behind_its_port(ollama: OllamaServer, weights: Path) -> None:
    """The server itself holds no weights: a child of its does, which comes with the model."""
    engine = OllamaEngine("ollama", ollama.base_url)
    watched = Server(finder(engine), look_every=1)
    try:
        await engine.unload(ollama.model)
        before = watched.read()
        await engine.load(ollama.model)
        after = watched.read()
    finally:
        await engine.aclose()
    assert before is not None
    assert after is not None
    assert after.processes > before.processes
    assert after.memory_bytes > before.memory_bytes + _size(weights)
