"""The page of the system: what there is, what it does now, and what can be done about it."""

import asyncio

from fastapi import APIRouter, Request, Response
from sqlalchemy.engine import Connection

from novasystem.http.owner import owner_of
from novasystem.runs import store
from novasystem.runs.records import Run
from novasystem.runs.service import Runs
from novasystem.runs.state import ACTIVE
from novasystem.web.rendering import render, render_block

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_MOST_RUNS = 50


@router.get("/system")
async def system_page(request: Request) -> Response:
    """The engines are asked by the page itself, once it is there: one may be slow to answer."""
    from novasystem.benchmarks.environment import system_info
    from novasystem.web.view_models.system import SystemView

    state = request.app.state
    info = await asyncio.to_thread(system_info)
    view = SystemView.of(info, state.settings, state.runs.database)
    return render(request, "system.html", view)


@router.get("/system/now")
async def now_block(request: Request) -> Response:
    from novasystem.web.view_models.system import NowView, SystemView

    state = request.app.state
    registry = state.registry
    runs: Runs = state.runs
    owner_id = owner_of(request)

    def active(connection: Connection) -> list[Run]:
        found = [
            run
            for status in ACTIVE
            for run in store.list_runs(
                connection, owner_id=owner_id, status=status, limit=_MOST_RUNS
            )
        ]
        return sorted(found, key=lambda run: run.key, reverse=True)[:_MOST_RUNS]

    health, models, found = await asyncio.gather(
        registry.health(), registry.models(), runs.database.read(active)
    )
    work = (
        ("Runs of this process", f"{runs.running:,}"),
        ("Open streams", f"{len(state.streams):,}"),
    )
    now = NowView.of(registry, health, models, found, work)
    return render_block(request, "system.html", "now", SystemView((), (), (), now))
