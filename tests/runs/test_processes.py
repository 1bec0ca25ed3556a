"""Several processes on one PostgreSQL: they tell each other, and take over from the dead."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, Connection

from novasystem.errors import ThreadBusy
from novasystem.runs.executor import Limits
from novasystem.runs.records import Event, Run
from novasystem.runs.service import Runs
from novasystem.storage.database import Database
from novasystem.threads import store as threads
from tests.runs.process import KINDS
from tests.runs.working import OWNER, begin, ended, events, followed, new_thread, now, until

ROOT = Path(__file__).parents[2]


class Other:
    """Another process, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())

    async def said(self, start: str) -> str:
        def found() -> str | None:
            return next((line for line in self.lines if line.startswith(start)), None)

        line: str = await until(found)
        return line

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def another(url: URL) -> AsyncIterator[Other]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.runs.process",
        url.render_as_string(hide_password=False),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    other = Other(process)
    try:
        await other.said("ready")
        yield other
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT)
        await process.wait()
        await other._reading


@asynccontextmanager
async def watching(url: URL, total: int = 0) -> AsyncIterator[Runs]:
    """This process, which carries out no more than ``total`` runs: the other one does."""
    database = Database(url)
    runs = Runs(database, KINDS, limits=Limits(total=total))
    await runs.open()
    try:
        yield runs
    finally:
        await runs.aclose()
        await database.aclose()


def numbers(seen: list[Event]) -> list[int]:
    return [event.data["number"] for event in seen if event.type == "number"]


async def test_a_run_of_another_process_is_seen_as_it_happens(postgres_address: URL) -> None:
    async with watching(postgres_address) as runs, another(postgres_address):
        run = await begin(runs, "steady", request={"until": 40})
        seen = [one for one in await followed(runs, run) if isinstance(one, Event)]
        assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
        assert numbers(seen) == list(range(40))
        # It came as it was stored, in several batches, and not at the end.
        assert all(event.committed for event in seen)
        after = await now(runs, run)
        late = [one for one in await followed(runs, after, after=10) if isinstance(one, Event)]
        assert late == seen[10:]
        assert runs._feeds == {}


async def test_a_cancel_reaches_another_process_within_a_second(postgres_address: URL) -> None:
    async with watching(postgres_address) as runs, another(postgres_address) as other:
        thread = await new_thread(runs.database)
        run = await begin(runs, "stuck", thread=thread)
        await other.said(f"begun {run.id}")
        asked = time.monotonic()
        assert (await runs.cancel(run.id, OWNER)).status == "cancelling"
        await other.said(f"stopped {run.id}")
        took = time.monotonic() - asked
        assert took < 1, took
        assert (await ended(runs, run)).status == "cancelled"
        # And its thread is free for this one.
        await begin(runs, "stuck", thread=thread)


async def test_deleting_a_thread_stops_the_run_in_another_process(postgres_address: URL) -> None:
    async with watching(postgres_address) as runs, another(postgres_address) as other:
        thread = await new_thread(runs.database)
        run = await begin(runs, "stuck", thread=thread)
        await other.said(f"begun {run.id}")
        seeing = asyncio.create_task(followed(runs, run))
        await asyncio.sleep(0.2)
        await runs.database.write(threads.delete, thread.key)
        await other.said(f"stopped {run.id}")
        await seeing


@pytest.mark.parametrize("kind", ["steady", "fails"])
async def test_what_a_killed_process_left_is_taken_over(postgres_address: URL, kind: str) -> None:
    async with watching(postgres_address) as runs, another(postgres_address) as first:
        run = await begin(runs, kind, request={"until": 60}, thread=await new_thread(runs.database))
        seeing = asyncio.create_task(followed(runs, run))
        await first.said(f"begun {run.id}")
        await asyncio.sleep(0.4)
        await first.kill()
        async with another(postgres_address) as second:
            after = await ended(runs, run)
            if kind == "steady":
                assert after.status == "completed"
                assert (after.interruptions, after.fence) == (1, 2)
                await second.said(f"begun {run.id} 2")
            else:
                assert after.status == "failed"
                assert after.error is not None
                assert after.error["code"] == "interrupted"
        log = await events(runs.database, run)
        assert [one for one in await seeing if isinstance(one, Event)] == log
        assert numbers(log) == list(range(len(numbers(log))))
        assert len(numbers(log)) == 60 or kind == "fails"
        thread = await runs.database.read(threads.get, run.thread_key or 0)
        assert thread is not None
        assert thread.active_run is None


async def test_a_process_that_stands_still_loses_its_runs_and_writes_no_more(
    postgres_address: URL,
) -> None:
    """Its process is there, so that only its beat tells: after 20 s it is taken for dead."""
    async with watching(postgres_address) as runs, another(postgres_address) as first:
        run = await begin(runs, "steady", request={"until": 120})
        await first.said(f"begun {run.id}")
        first.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        async with another(postgres_address) as second:
            await asyncio.wait_for(second.said(f"begun {run.id} 2"), 90)
            assert time.monotonic() - stopped >= 15
            first.process.send_signal(signal.SIGCONT)
            after = await ended(runs, run)
            assert (after.status, after.fence) == ("completed", 2)
        log = await events(runs.database, run)
        # Not one number twice: what the first one says after it has woken does not land.
        assert numbers(log) == list(range(120))


async def test_one_of_all_processes_gets_a_thread(postgres_address: URL) -> None:
    async with watching(postgres_address, 256) as one, watching(postgres_address, 256) as two:
        thread = await new_thread(one.database)
        results = await asyncio.gather(
            *(begin(runs, "stuck", thread=thread) for runs in (one, two) * 25),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Run) for result in results) == 1
        assert sum(isinstance(result, ThreadBusy) for result in results) == 49


async def test_each_run_is_carried_out_by_one_process(postgres_address: URL) -> None:
    async with (
        watching(postgres_address) as runs,
        another(postgres_address) as first,
        another(postgres_address) as second,
    ):
        started = [await begin(runs, "steady", request={"until": 2}) for _ in range(30)]
        for run in started:
            assert (await ended(runs, run)).status == "completed"
        begun = [line.split()[1] for line in [*first.lines, *second.lines] if "begun" in line]
        assert sorted(begun) == sorted(run.id for run in started)


async def test_a_lost_connection_is_made_again_and_nothing_is_missed(
    postgres_address: URL,
) -> None:
    async with watching(postgres_address) as runs, another(postgres_address) as other:
        run = await begin(runs, "steady", request={"until": 100})
        await other.said(f"begun {run.id}")
        seeing = asyncio.create_task(followed(runs, run))
        stuck = await begin(runs, "stuck")
        await other.said(f"begun {stuck.id}")
        for _ in range(3):
            await runs.database.write(_disconnect_listeners)
            await runs.cancel(stuck.id, OWNER)
            await asyncio.sleep(0.3)
        assert (await now(runs, run)).status in {"in_progress", "completed"}
        seen = [one for one in await seeing if isinstance(one, Event)]
        assert numbers(seen) == list(range(100))
        await other.said(f"stopped {stuck.id}")
        assert (await ended(runs, stuck)).status == "cancelled"


def _disconnect_listeners(connection: Connection) -> None:
    connection.exec_driver_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()"
    )
