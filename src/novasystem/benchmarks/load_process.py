"""The process that makes the load: run as ``python -m novasystem.benchmarks.load_process`` by
:mod:`novasystem.benchmarks.loading` alone, and by itself where one is not enough: see
:mod:`novasystem.benchmarks.crew`.

It has an event loop, a heap and an interpreter of its own, so that neither a server's other work
nor a page being drawn makes a model look slow. What it is to do comes as the first line of standard
input, the keys of engines in it; what it sees goes into the log. It ends when told (SIGTERM), and
when standard input ends, as it does when its parent dies in whatever way: then too its requests are
cancelled at the engine and their samples kept.

Between the two, as JSON lines::

    {"plan": {…}, "benchmark_id": "…", "log": "…", "targets": [{…}], "failed": {"model": {…}}}
    {"answer": 1, "target": {…}, "load_ns": 12 | null} | {"answer": 1, "error": {…}}    to the load
    {"ask": 1, "do": "cold", "model": "…"}                                              from it
    {"ask": 1, "do": "renew", "model": "…", "target": {…}}       from it; where it asked in vain
    {"failed": {"code": "…", "message": "…", "hint": "…"}}                              from it
"""

# ruff: noqa: E402
import gc

# Nothing of what is imported is garbage: to look for some is an eighth of what the start costs.
gc.disable()

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from novasystem.benchmarks.collect import failure_of
from novasystem.benchmarks.crew import Crew
from novasystem.benchmarks.distant import Distant
from novasystem.benchmarks.link import Link, lines, say
from novasystem.benchmarks.load import Load, enough
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.processes import how_many, processors
from novasystem.benchmarks.resuming import done
from novasystem.benchmarks.sample_log import Header, ModelState, SampleLog, read_log
from novasystem.benchmarks.samples import Failure
from novasystem.benchmarks.targets import Target

__all__ = ["main"]

# Young objects are looked through less often: each look holds up the loop.
_GC = (50_000, 20, 50)


def main() -> int:
    # Ctrl-C in a terminal is for the parent, which tells us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heard = lines(0)
    given = orjson.loads(next(heard, b"{}"))
    if not given:
        return 1
    # Whatever prints is led to the log of errors: standard output is the pipe to the parent.
    words = os.dup(1)
    os.dup2(2, 1)
    _raise_open_files()
    gc.freeze()
    gc.set_threshold(*_GC)
    gc.enable()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            if "worker" in given:
                from novasystem.benchmarks.worker import work

                runner.run(work(given["worker"], heard, words))
            else:
                runner.run(_load(given, heard, words))
    except Exception as error:
        say(words, {"failed": asdict(failure_of(error))})
        raise
    return 0


async def _load(given: dict[str, Any], heard: Iterator[bytes], words: int) -> None:
    plan = Plan.model_validate(given["plan"])
    path = Path(given["log"])
    found = done(read_log(path), keep=plan.until is not None)
    processes = how_many(plan, models=len(given["targets"]), cores=processors())
    log = SampleLog(path, shared=processes > 1)
    origin_ns = time.perf_counter_ns() - found.ended_ns
    wall = found.wall or datetime.now(UTC).isoformat()
    link = Link(words)
    models = [Distant(Target.of(target), link) for target in given["targets"]]
    load = Load(
        plan,
        given["benchmark_id"],
        models,
        log.append,
        origin_ns,
        found,
        enough(plan.until) if plan.until is not None else None,
    )
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, load.stop)
    listener = threading.Thread(target=link.listen, args=(heard, loop, load.stop), daemon=True)
    listener.start()
    if processes > 1 and models:
        load.crew = Crew(models, path, load.fail)
        begin = {"plan": given["plan"], "log": given["log"], "origin_ns": origin_ns}
        seed = found.seed(given["benchmark_id"])
        await load.crew.start(processes - 1, {**begin, "benchmark_id": seed})
    begins_ns = time.perf_counter_ns() - origin_ns
    log.append(
        Header(
            plan=given["plan"],
            benchmark_id=given["benchmark_id"],
            origin_ns=origin_ns,
            begins_ns=begins_ns,
            wall=wall,
            pid=os.getpid(),
            workers=() if load.crew is None else load.crew.pids,
        )
    )
    for model, failure in given["failed"].items():
        log.append(ModelState(model, "failed", begins_ns, failure=Failure(**failure)))
    try:
        await load.run()
    finally:
        for model in models:
            await model.aclose()
        log.close()


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _raise_open_files() -> None:
    """Each request under way is a connection: an open loop may have thousands."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))


if __name__ == "__main__":
    sys.exit(main())
