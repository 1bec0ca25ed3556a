"""Benchmarks from inside another program."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from novasystem.benchmarks import Plan, Prompt, run, run_async
from novasystem.benchmarks.local import passing
from novasystem.benchmarks.sample_log import Live, Record
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.telemetry import MachineFigures
from novasystem.errors import InvalidRequest
from novasystem.settings import Settings, load_settings
from tests.servers.answers import Stall, json_answer, openai_stream
from tests.servers.scripted import ScriptedServer

COMPLETIONS = "/v1/chat/completions"
PLAN = Plan(models=("scripted",), workload=Prompt(prompt="Hi."), repetitions=3)


@pytest.fixture
def settings(scripted: ScriptedServer, tmp_path: Path) -> Settings:
    scripted.on("GET", "/v1/models", json_answer(200, {"data": [{"id": "scripted"}]}))
    usage = {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}
    scripted.on("POST", COMPLETIONS, openai_stream(["Hel", "lo."], usage=usage, pause_s=0.01))
    environment = {
        "NOVA_CONFIG_DIR": str(tmp_path / "config"),
        "NOVA_DATA_DIR": str(tmp_path / "data"),
        "NOVA_EMBEDDED": "off",
        "NOVA_OLLAMA_URL": "off",
        "NOVA_OPENAI_URL": scripted.url,
    }
    return load_settings(environment=environment)


def test_a_plain_call_blocks_and_shows_every_record(settings: Settings, tmp_path: Path) -> None:
    records: list[Record | MachineFigures] = []
    benchmark = run(PLAN, settings=settings, show=records.append, keep=False)
    assert benchmark.status == "completed"
    assert benchmark.results[0].metrics["e2e_s"].n == 3
    samples = [one for one in records if isinstance(one, Sample)]
    assert [one.counted for one in samples] == [False, True, True, True]
    said = "".join(one.text for one in records if isinstance(one, Live))
    assert said.startswith("Hello.")
    # Nothing stays.
    assert not (tmp_path / "data").exists()


def test_within_a_loop_it_is_awaited_and_the_plain_call_says_so(settings: Settings) -> None:
    async def work() -> str:
        with pytest.raises(InvalidRequest, match="await run_async"):
            run(PLAN, settings=settings)
        return (await run_async(PLAN, settings=settings, keep=False)).status

    assert asyncio.run(work()) == "completed"


def test_a_task_that_is_cancelled_ends_the_load(
    settings: Settings, scripted: ScriptedServer
) -> None:
    stalled = [*openai_stream(["Hel", "lo."])[:3], Stall()]
    scripted.on("POST", COMPLETIONS, stalled)

    async def work() -> None:
        task = asyncio.create_task(run_async(PLAN, settings=settings, keep=False))
        # However long its start takes; one that ended by itself says why.
        while not any(seen.path == COMPLETIONS for seen in list(scripted.seen)):
            assert not task.done(), task
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    scripted.wait_for(lambda one: not one.open_connections, 60)


def test_a_passing_store_is_gone_at_the_end(settings: Settings) -> None:
    async def work() -> tuple[Path, bool]:
        async with passing(settings) as local:
            folder = Path(local.store.where)
            return folder, await asyncio.to_thread(folder.exists)

    folder, was_there = asyncio.run(work())
    assert was_there
    assert not folder.exists()


def test_the_package_imports_nothing_until_it_is_asked_for() -> None:
    script = (
        "import sys, novasystem, novasystem.benchmarks\n"
        "heavy = {'pydantic', 'aiohttp', 'sqlalchemy', 'psutil', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from novasystem.benchmarks import Plan\n"
        "assert 'aiohttp' not in sys.modules\n"
        "import novasystem.benchmarks as package\n"
        "assert all(getattr(package, name) for name in package.__all__)\n"
        "assert not hasattr(package, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
