"""Benchmarks inside other programs: what ``nova bench run`` does, as a function."""

import asyncio
from collections.abc import Callable

from novasystem.benchmarks.carrying import new_benchmark
from novasystem.benchmarks.local import OWNER, opened, passing
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.sample_log import Record
from novasystem.benchmarks.telemetry import MachineFigures
from novasystem.errors import InvalidRequest
from novasystem.settings import Settings, load_settings

__all__ = ["run", "run_async"]


def _nothing(_: Record | MachineFigures) -> None:
    """Shows nothing."""


async def run_async(
    plan: Plan,
    *,
    settings: Settings | None = None,
    show: Callable[[Record | MachineFigures], None] = _nothing,
    keep: bool = True,
) -> Benchmark:
    """Carry ``plan`` out and return the benchmark with its results.

    ``settings``: those of the environment and of ``nova.toml`` where none are given. ``show`` is
    called with each record as it comes: a :class:`~novasystem.benchmarks.samples.Sample` a request,
    a :class:`~novasystem.benchmarks.sample_log.Live` with what a model says meanwhile, a
    :class:`~novasystem.benchmarks.telemetry.MachineFigures` three times a second, and others.
    ``keep``: in the store of the settings, where ``nova bench list`` has it; else nothing stays.

    A model that fails spoils no other's results: its result says why. Raises ``InvalidRequest``
    where no model of the plan is known, ``StorageUnavailable`` where the store is down. Where the
    task is cancelled, what had arrived is kept, and the load has ended.
    """
    place = opened if keep else passing
    async with place(settings or load_settings()) as local:
        whole = await local.carrier.complete(plan)
        return await local.carrier.carry_out(new_benchmark(whole, OWNER), show)


def run(
    plan: Plan,
    *,
    settings: Settings | None = None,
    show: Callable[[Record | MachineFigures], None] = _nothing,
    keep: bool = True,
) -> Benchmark:
    """:func:`run_async` for programs without an event loop: blocks until the benchmark has ended.

    Ctrl-C ends it in order: what had arrived is kept. Raises ``InvalidRequest`` within a running
    event loop, which it would hold up.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run_async(plan, settings=settings, show=show, keep=keep))
    raise InvalidRequest(
        "run() would hold up the event loop that it is called in.",
        hint="Write 'await run_async(plan)' there.",
    )
