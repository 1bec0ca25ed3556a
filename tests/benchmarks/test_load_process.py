"""The load process and its parent: real processes, killed at any moment."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from novasystem.benchmarks.loading import Loading, loading
from novasystem.benchmarks.plan import Concurrent, Parameters, Plan, Synthetic
from novasystem.benchmarks.sample_log import End, Header, Live, ModelState, Record, read_log
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.targets import Pinned, pin, target_of
from novasystem.engines.embedded import EmbeddedEngine
from novasystem.engines.keeper import ChildConfig
from novasystem.engines.ollama import OllamaEngine
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.protocol import Engine
from novasystem.engines.registry import Pool, Registry
from novasystem.errors import ModelNotFound
from tests.benchmarks.loads import USAGE, asked, plan, playing
from tests.engines.children import alive, eventually, of_process
from tests.servers.answers import Stall, Step, json_answer, openai_stream
from tests.servers.certificates import Authority
from tests.servers.ollama import OllamaServer
from tests.servers.scripted import ScriptedServer, scripted_server

KEY = "a-key-that-nobody-may-see"


def half(*texts: str) -> list[Step]:
    return [*openai_stream(texts, finish=None, done=False)[:-1], Stall()]


def far(server: ScriptedServer, model: str = "m") -> Pinned:
    return Pinned(model, model, OpenAIEngine("far", server.url, flavour="openai", api_key=KEY))


async def until(load: Loading, wanted: int) -> list[Record]:
    """Records until so many samples have come."""
    records: list[Record] = []
    async with aclosing(load.records()) as coming:
        async for record in coming:
            records.append(record)
            if sum(isinstance(one, Sample) for one in records) >= wanted:
                return records
    return records


async def every(load: Loading) -> list[Record]:
    return [record async for record in load.records()]


def samples(records: Sequence[Record]) -> list[Sample]:
    return [record for record in records if isinstance(record, Sample)]


async def whole(
    what: Plan, models: Sequence[Pinned], path: Path, failed: dict[str, Failure] | None = None
) -> list[Record]:
    async with loading(what, "b", models, path, failed=failed) as load:
        return await every(load)


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
async def test_an_engine_behind_tls(
    private: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(private.path))
    with scripted_server(private.server) as server:
        playing(server)
        engine = OpenAIEngine("far", f"{scheme}://127.0.0.1:{server.port}", flavour="openai")
        records = await whole(plan(repetitions=2), [Pinned("m", "m", engine)], tmp_path / "log")
        assert [one.failure for one in samples(records)] == [None, None]


async def test_from_header_to_end(scripted: ScriptedServer, tmp_path: Path) -> None:
    playing(scripted)
    path = tmp_path / "log"
    what = plan(repetitions=3)
    gone = {"gone": Failure("model_not_found", "There is no such model.")}
    records = await whole(what, [far(scripted)], path, gone)
    assert list(read_log(path)) == records
    header, end = records[0], records[-1]
    assert isinstance(header, Header)
    assert Plan.model_validate(header.plan) == what
    assert header.pid != os.getpid()
    assert isinstance(end, End)
    assert (end.status, end.failure) == ("completed", None)
    assert 0 < end.load_cpu_s < end.cpu_s
    assert [(one.text, one.reused) for one in samples(records)] == [
        ("Hello", False),
        ("Hello", True),
        ("Hello", True),
    ]
    assert "".join(one.text for one in records if isinstance(one, Live)) == "Hello" * 3
    states = [(one.model, one.state) for one in records if isinstance(one, ModelState)]
    assert states[0] == ("gone", "failed")
    assert ("m", "done") in states
    assert {seen.headers["authorization"] for seen in asked(scripted)} == {f"Bearer {KEY}"}


async def test_keys_stand_nowhere(scripted: ScriptedServer, tmp_path: Path) -> None:
    playing(scripted, half("So"))
    path = tmp_path / "log"
    async with loading(plan(), "b", [far(scripted)], path) as load:
        await scripted.until(lambda server: asked(server) or None, 30)
        assert KEY.encode() not in of_process(load.pid, "cmdline")
        assert KEY.encode() not in of_process(load.pid, "environ")
    assert KEY.encode() not in path.read_bytes()


async def test_stopped_it_keeps_what_came_and_lets_the_engine_go(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    playing(scripted, half("So", " far"))
    what = plan(load=Concurrent(concurrency=3, requests=50))
    async with loading(what, "b", [far(scripted)], tmp_path / "log") as load:
        await scripted.until(lambda server: len(asked(server)) == 3, 30)
        await asyncio.sleep(0.3)
        load.stop()
        records = await every(load)
    await scripted.until(lambda server: server.open_connections == 0)
    assert [one.text for one in samples(records)] == ["So far"] * 3
    assert {one.failure.code for one in samples(records) if one.failure} == {"cancelled"}
    assert isinstance(records[-1], End)
    assert records[-1].status == "cancelled"
    assert not alive(load.pid)


async def test_left_early_it_ends(scripted: ScriptedServer, tmp_path: Path) -> None:
    playing(scripted, half("So"))
    path = tmp_path / "log"
    async with loading(plan(), "b", [far(scripted)], path) as load:
        await scripted.until(lambda server: asked(server) or None, 30)
    assert not alive(load.pid)
    await scripted.until(lambda server: server.open_connections == 0)
    assert isinstance(list(read_log(path))[-1], End)


async def test_killed_it_loses_no_sample_and_is_carried_on(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    playing(scripted, openai_stream(["x"], usage=USAGE, pause_s=0.02))
    path = tmp_path / "log"
    what = plan(load=Concurrent(concurrency=2, requests=40))
    async with loading(what, "b", [far(scripted)], path) as load:
        seen = await until(load, 10)
        os.kill(load.pid, signal.SIGKILL)
        rest = await every(load)
    end = rest[-1]
    assert isinstance(end, End)
    assert end.failure is not None
    assert (end.status, end.failure.code) == ("failed", "load_failed")
    assert "signal 9" in end.failure.message
    had = samples(list(read_log(path)))
    assert len(samples(seen)) <= len(had) < 40

    carried_on = await whole(what, [far(scripted)], path)
    assert isinstance(carried_on[-1], End)
    assert carried_on[-1].status == "completed"
    both = samples(list(read_log(path)))
    assert len(both) == 40
    assert len({one.number for one in both}) == 40
    # Its times go on where those before it stopped.
    assert min(one.scheduled_ns for one in samples(carried_on)) >= max(one.ended_ns for one in had)


async def test_it_ends_when_its_parent_is_killed(scripted: ScriptedServer, tmp_path: Path) -> None:
    quick = openai_stream(["x"], usage=USAGE)
    playing(scripted, *[quick] * 9, half("So"))
    path = tmp_path / "log"
    script = Path(__file__).with_name("parent.py")
    root = Path(__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        scripted.url,
        str(path),
        stdout=subprocess.PIPE,
        cwd=root,
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    await scripted.until(lambda server: len(asked(server)) == 11, 30)
    await asyncio.sleep(0.3)
    parent.kill()
    await parent.communicate()
    assert await asyncio.to_thread(eventually, lambda: not alive(pid), 10.0)
    await scripted.until(lambda server: server.open_connections == 0)
    records = list(read_log(path))
    assert [one.text for one in samples(records)] == ["x"] * 9 + ["So"] * 2
    assert isinstance(records[-1], End)
    assert records[-1].status == "cancelled"


async def test_what_cannot_be_written_is_said(scripted: ScriptedServer, tmp_path: Path) -> None:
    playing(scripted)
    records = await whole(plan(), [far(scripted)], tmp_path / "none" / "log")
    [end] = records
    assert isinstance(end, End)
    assert end.failure is not None
    assert end.failure.code == "storage_unavailable"
    assert asked(scripted) == []


async def test_a_model_is_pinned_to_one_address(scripted: ScriptedServer) -> None:
    engines: list[Engine] = [
        OpenAIEngine("far", scripted.url, flavour="vllm", api_key=KEY),
        OpenAIEngine("far", "http://127.0.0.1:1", flavour="vllm"),
    ]
    models = {"object": "list", "data": [{"id": "m"}]}
    scripted.on("GET", "/v1/models", json_answer(200, models))
    registry = Registry([Pool("far", engines)])
    pinned = await pin(registry, "far/m")
    assert (pinned.model, pinned.name, pinned.engine) == ("far/m", "m", engines[0])
    target = await target_of(pinned)
    assert (target.address.url, target.address.flavour) == (scripted.url, "vllm")
    assert not target.kept
    assert KEY not in repr(target)
    with pytest.raises(ModelNotFound):
        await pin(registry, "other")
    await registry.aclose()


# The embedded model.


@pytest_asyncio.fixture
async def embedded(weights: Path) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine("embedded", ChildConfig(weights, "nova-tiny", 1024, 2, 1))
    yield engine
    await engine.aclose()


async def test_the_embedded_model_cold_warm_and_cached(
    embedded: EmbeddedEngine, tmp_path: Path
) -> None:
    what = plan(
        workload=Synthetic(prompt_tokens=200, output_tokens=16),
        phases=("cold", "warm", "cached"),
        repetitions=2,
    )
    pinned = [Pinned("nova-tiny", "nova-tiny", embedded)]
    records = await whole(what, pinned, tmp_path / "log")
    counted = [one for one in samples(records) if one.counted]
    assert [one.failure for one in counted] == [None] * 6
    for one in counted:
        assert one.prompt_tokens is not None
        assert abs(one.prompt_tokens - 200) <= 2
        assert one.completion_tokens == 16
        assert one.timings is not None
    phases = {
        phase: [one for one in counted if one.phase == phase]
        for phase in ("cold", "warm", "cached")
    }
    assert all(one.load_ns for one in phases["cold"])
    assert not any(one.load_ns for one in phases["warm"])
    # An equal beginning would make the second run faster: here it is evaluated each time.
    for one in (*phases["cold"], *phases["warm"]):
        assert one.timings is not None
        assert one.timings.prefill_tokens == one.prompt_tokens
        assert one.cached_tokens == 0
    for one in phases["cached"]:
        assert one.timings is not None
        assert one.timings.prefill_tokens is not None
        assert one.timings.prefill_tokens < 20
        assert one.cached_tokens is not None
        assert one.cached_tokens > 180


async def test_a_restarted_model_is_found_again(embedded: EmbeddedEngine, tmp_path: Path) -> None:
    """Its next start has another key and another address: the load asks its parent for them."""
    what = plan(repetitions=40, parameters=Parameters(max_tokens=16))
    path = tmp_path / "log"
    async with loading(what, "b", [Pinned("nova-tiny", "nova-tiny", embedded)], path) as load:
        await until(load, 2)
        os.kill((await embedded.keeper.address()).pid, signal.SIGKILL)
        records = await every(load)
    counted = [one for one in samples(records) if one.counted]
    failed = [one for one in counted if one.failure is not None]
    assert 1 <= len(failed) < 10
    assert counted[-1].failure is None
    assert len(counted) == 40


@pytest.mark.ollama
async def test_ollama_loads_within_the_request(ollama: OllamaServer, tmp_path: Path) -> None:
    """Cold, its own load time stands in each sample; warm, nothing is loaded."""
    engine = OllamaEngine("ollama", ollama.base_url)
    [model] = await engine.models()
    what = plan(
        workload=Synthetic(prompt_tokens=60, output_tokens=8),
        phases=("cold", "warm"),
        repetitions=2,
    )
    records = await whole(what, [Pinned(model.name, model.name, engine)], tmp_path / "log")
    counted = [one for one in samples(records) if one.counted]
    assert [one.failure for one in counted] == [None] * 4
    loads = [one.timings.load_s or 0.0 for one in counted if one.timings is not None]
    assert [one.load_ns for one in counted] == [None] * 4
    assert min(loads[:2]) > 3 * max(loads[2:])
    assert all(abs((one.prompt_tokens or 0) - 60) <= 1 for one in counted)
    await engine.aclose()
