"""The page of history: filters, order, pages; each model's figures over time."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from novasystem.benchmarks.service import Benchmarks
from novasystem.benchmarks.stores import Query as Asked
from novasystem.errors import InvalidRequest
from novasystem.http.owner import owner_of
from novasystem.web.benchmarks_pages import models_now
from novasystem.web.rendering import asked_for_part, render, render_block

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_MOST = 1000
Text = Annotated[str, Query(max_length=1000)]


@router.get("/history")
async def history_page(
    request: Request,
    model: Text = "",
    text: Text = "",
    since: Text = "",
    until: Text = "",
    outcome: Text = "",
    sort: Text = "timestamp",
    order: Literal["asc", "desc"] = "desc",
    zone: Annotated[int, Query(ge=-1440, le=1440)] = 0,
    page: Annotated[int, Query(ge=1, lt=10**9)] = 1,
) -> Response:
    from novasystem.web.view_models.history import Filters, HistoryView

    filters = Filters(model, text, since, until, outcome, sort, order, zone, page)
    service: Benchmarks = request.app.state.benchmarks
    found, problem = None, ""
    try:
        found = await service.list(filters.asked(owner_of(request)))
    except InvalidRequest as error:
        problem = str(error)
    part = asked_for_part(request)
    models = () if part else await models_now(request) or ()
    view = HistoryView.of(filters, found, models, problem)
    if part:
        return render_block(request, "history.html", "list", view)
    return render(request, "history.html", view)


@router.get("/history/summary")
async def summary_block(request: Request) -> Response:
    """Each model over the newest thousand, which takes a moment: the page asks for it by itself."""
    from novasystem.benchmarks.over_history import over_history
    from novasystem.web.view_models.history import SummaryView

    service: Benchmarks = request.app.state.benchmarks
    page = await service.list(Asked(owner_id=owner_of(request), limit=_MOST))
    found = await asyncio.to_thread(over_history, page.benchmarks)
    view = SummaryView.of(found, len(page.benchmarks))
    return render_block(request, "history_summary.html", "summary", view)
