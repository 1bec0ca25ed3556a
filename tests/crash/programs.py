"""What the forked children run: the whole server, or the kernel with a kind of run of our own."""

import asyncio
import os
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem import log
from novasystem.app import create_app
from novasystem.keeping import Store
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.records import NewRun, Outcome
from novasystem.runs.service import Runs
from novasystem.runs.state import ACTIVE
from novasystem.server import Server, run, uvicorn_config
from novasystem.settings import Settings, load_settings
from novasystem.storage.tables import runs
from tests.crash.faults import Fault, FaultyDatabase, FaultySends, Points

__all__ = ["CALLS", "PROGRAMS"]

CALLS = 4
"""How many calls each run of the caller makes."""


def serve(listener: socket.socket, command: Mapping[str, Any]) -> int:
    """The product's server on that socket."""
    settings, store, points = _opened(command)
    app = create_app(settings, store=store)
    if points is not None:
        app.add_middleware(FaultySends, points=points)
    server = Server(uvicorn_config(app, settings), settings.shutdown_timeout_s)
    return run(server, [listener])


def call(_listener: socket.socket, command: Mapping[str, Any]) -> int:
    """Runs that make calls whose effect is a line in a file; ends when all runs have ended.

    A line of its own says when they have begun.
    """
    _, store, points = _opened(command)
    asyncio.run(
        _call(store, points, Path(command["effects"]), command["runs"], command["repeatable"])
    )
    return 0


def _opened(command: Mapping[str, Any]) -> tuple[Settings, Store, Points | None]:
    settings = load_settings(environment=command["environment"])
    log.configure(settings.log_level, settings.log_format)
    store = Store(settings)
    if command["fault"] is None:
        return settings, store, None
    points = Points(Fault(**command["fault"]))
    store.database = FaultyDatabase(store.database.url, points)
    return settings, store, points


async def _call(
    store: Store, points: Points | None, effects: Path, wanted: int, repeatable: bool
) -> None:
    file = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    pause = random.Random(os.getpid())

    async def execute(context: RunContext) -> Outcome:
        for number in range(CALLS):

            async def effect(number: int = number) -> int:
                await asyncio.sleep(pause.uniform(0, 0.01))
                os.write(file, f"{context.run.id} {number}\n".encode())
                await asyncio.sleep(pause.uniform(0, 0.01))
                return number

            context.emit("calling", {"number": number})
            said = await context.call(f"call {number}", {}, effect, repeatable=repeatable)
            assert said == number
        return Outcome()

    await store.open()
    service = Runs(store.database, {"caller": Kind(execute, resumes=True)})
    await service.open()
    if points is not None:
        # What an earlier process left is carried on first; a fault is one of the new runs'.
        await _all_ended(store)
        points.arm()
    os.write(file, b"begun\n")
    for _ in range(wanted):
        await service.start(lambda _connection: NewRun("caller", "local", {}))
    await _all_ended(store)
    await service.aclose()
    await store.aclose()


async def _all_ended(store: Store) -> None:
    while await store.database.read(_active):  # noqa: ASYNC110  (asked as from outside)
        await asyncio.sleep(0.005)


def _active(connection: Connection) -> int:
    counted = sa.select(sa.func.count()).select_from(runs).where(runs.c.status.in_(ACTIVE))
    return connection.scalar(counted) or 0


PROGRAMS = {"serve": serve, "call": call}
