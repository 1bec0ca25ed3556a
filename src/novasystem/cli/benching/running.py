"""Carries benchmarks out, new ones and those that were broken off, before the user's eyes."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from novasystem.benchmarks.carrying import new_benchmark
from novasystem.benchmarks.former import wait_for_former
from novasystem.benchmarks.local import OWNER, Local, server_is_running
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.plan_files import write_plan
from novasystem.benchmarks.progress import Progress
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.resuming import done
from novasystem.benchmarks.sample_log import read_log
from novasystem.cli.benching.opening import GOING, find, with_store
from novasystem.cli.benching.screen import Screen
from novasystem.cli.benching.showing import print_json, print_results
from novasystem.errors import InvalidRequest
from novasystem.settings import Settings

__all__ = ["resume", "run"]

_CODES = {"completed": 0, "cancelled": 130}
_OTHERWISE = 3


def run(settings: Settings, plan: Plan, *, save_plan: Path | None, as_json: bool) -> int:
    """The command's code: 0, 130 where it was cancelled, 3 where a model or a request failed."""
    if save_plan is not None:
        write_plan(plan, save_plan)

    async def work(local: Local) -> int:
        whole = await local.carrier.complete(plan)
        benchmark = new_benchmark(whole, OWNER)
        return await _carry_out(local, benchmark, Progress(whole), as_json=as_json)

    return with_store(settings, work)


def resume(settings: Settings, asked: str, *, as_json: bool) -> int:
    """The same for one that was broken off. Raises ``InvalidRequest`` where nothing is left."""

    async def work(local: Local) -> int:
        benchmark = await find(local, asked)
        log_path = local.carrier.log_path(benchmark.id)
        if benchmark.status in GOING and benchmark.run_id and server_is_running(settings):
            raise InvalidRequest(
                f"'{benchmark.id}' is carried out by the server that runs.",
                hint="It goes on by itself.",
            )
        await wait_for_former(log_path)
        records = await asyncio.to_thread(lambda: list(read_log(log_path)))
        plan = benchmark.plan
        if plan is None or (not records and benchmark.status not in GOING):
            raise InvalidRequest(
                f"'{benchmark.id}' cannot be carried on: its log is not on this machine.",
                hint="'nova bench run' makes a new one.",
            )
        if benchmark.status not in GOING and done(records).completed:
            raise InvalidRequest(
                f"'{benchmark.id}' has ended, with nothing left to do: {benchmark.status}.",
                hint=f"'nova bench show {benchmark.id}' shows it.",
            )
        return await _carry_out(local, benchmark, Progress(plan, records), as_json=as_json)

    return with_store(settings, work)


async def _carry_out(
    local: Local, benchmark: Benchmark, progress: Progress, *, as_json: bool
) -> int:
    sys.stderr.write(f"Benchmark {benchmark.id}\n")
    sys.stderr.flush()
    with _cancelled_by_sigterm(), Screen(progress) as screen:
        try:
            ended = await local.carrier.carry_out(benchmark, screen.show)
        except asyncio.CancelledError:
            # What had arrived is kept by now, and shown like the results of any other.
            found = await local.store.get(OWNER, benchmark.id)
            if found is None or found.status in GOING:
                raise
            ended = found
    if as_json:
        print_json(ended)
    else:
        print_results(ended)
    sys.stdout.flush()
    _say_what_next(ended)
    return _CODES.get(ended.status, _OTHERWISE)


@contextlib.contextmanager
def _cancelled_by_sigterm():  # type: ignore[no-untyped-def]
    """SIGTERM ends it in order too, as Ctrl-C does."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    assert task is not None
    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGTERM)


def _say_what_next(benchmark: Benchmark) -> None:
    lines = [
        f"It is kept as {benchmark.id}. Next:",
        "  nova bench show last             every figure of it",
        "  nova bench report last -o report.html",
        "  nova bench compare last-1 last   what changed since the one before",
    ]
    if benchmark.status == "cancelled":
        lines.insert(1, f"  nova bench resume {benchmark.id}   carry on where it was cancelled")
    sys.stderr.write("\n".join(lines) + "\n")
