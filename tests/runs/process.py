"""A process that carries runs out on a database: ``python -m tests.runs.process ADDRESS``.

It says ``ready`` once it takes runs, and a line for each execution that it begins. Its kinds:
``steady`` says a number every 20 ms, up to ``until``, and can be resumed; ``fails`` cannot;
``stuck`` waits until it is cancelled, and says when it was.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

import structlog

from novasystem.runs.context import Kind, RunContext
from novasystem.runs.records import Outcome
from novasystem.runs.service import Runs
from novasystem.storage.database import Database, database_url

__all__ = ["KINDS"]


def _say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


async def _count(context: RunContext) -> Outcome:
    _say("begun", context.run.id, context.run.fence)
    said = [event for event in await context.recorded() if event.type == "number"]
    for number in range(len(said), context.run.request["until"]):
        context.emit("number", {"number": number})
        await asyncio.sleep(0.02)
    return Outcome()


async def _wait(context: RunContext) -> Outcome:
    _say("begun", context.run.id, context.run.fence)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        _say("stopped", context.run.id)
        raise
    return Outcome()


KINDS = {
    "steady": Kind(_count, resumes=True),
    "fails": Kind(_count),
    "stuck": Kind(_wait),
}


async def _main(address: str) -> None:
    database = Database(database_url(address, Path()))
    runs = Runs(database, KINDS)
    await runs.open()
    _say("ready")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await runs.aclose()
    await database.aclose()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(sys.argv[1]))
