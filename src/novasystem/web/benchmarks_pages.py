"""The page of benchmarks: ask, watch, look at what came of it.

Running, cancelling and watching are ``/api/benchmarks``'; here is only what is shown.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response

from novasystem.benchmarks.service import Benchmarks
from novasystem.benchmarks.stores import Query as Asked
from novasystem.benchmarks.stores.query import check_id
from novasystem.engines.protocol import Model
from novasystem.errors import NovaError
from novasystem.http.owner import owner_of
from novasystem.web.rendering import asked_for_part, render, render_block

if TYPE_CHECKING:
    from novasystem.web.view_models.result import ResultView

__all__ = ["models_now", "router"]

router = APIRouter(include_in_schema=False)

_PATIENCE_S = 0.15
_asking: set[asyncio.Future[Mapping[str, Model]]] = set()


@router.get("/")
@router.get("/api/benchmarks")
@router.get("/api/benchmarks/")
async def benchmarks_page(
    request: Request,
    opened: Annotated[str | None, Query(alias="open", max_length=200)] = None,
) -> Response:
    from novasystem.web.view_models.benchmarks import RECENT, BenchmarksView

    state = request.app.state
    service: Benchmarks = state.benchmarks
    models = await models_now(request)
    page = await service.list(Asked(owner_id=owner_of(request), limit=RECENT))
    result, problem = None, ""
    if opened is not None:
        try:
            result = await _result(request, opened)
        except NovaError as error:
            problem = str(error)
    most = state.settings.max_prompt_chars
    view = BenchmarksView.of(models, page.benchmarks, most, result, problem)
    return render(request, "benchmarks.html", view)


@router.get("/benchmarks/models")
async def models_block(request: Request) -> Response:
    """The models to choose from, however long the engines take to say."""
    from novasystem.web.view_models.benchmarks import BenchmarksView

    models = await request.app.state.registry.models()
    view = BenchmarksView.of(models, (), request.app.state.settings.max_prompt_chars)
    return render_block(request, "benchmarks.html", "models", view)


@router.get("/benchmarks/recent")
async def recent_block(request: Request) -> Response:
    from novasystem.web.view_models.benchmarks import RECENT, BenchmarksView

    service: Benchmarks = request.app.state.benchmarks
    page = await service.list(Asked(owner_id=owner_of(request), limit=RECENT))
    view = BenchmarksView.of(None, page.benchmarks, request.app.state.settings.max_prompt_chars)
    return render_block(request, "benchmarks.html", "recent", view)


@router.get("/benchmarks/{benchmark_id}")
async def benchmark_page(request: Request, benchmark_id: str) -> Response:
    """One benchmark, as a page or, for a page that is open, as a part of it."""
    view = await _result(request, benchmark_id)
    if asked_for_part(request):
        return render_block(request, "benchmark.html", "result", view)
    return render(request, "benchmark.html", view)


async def models_now(request: Request) -> Mapping[str, Model] | None:
    """The models, or ``None`` where an engine keeps the page waiting: it asks again by itself."""
    asking = asyncio.ensure_future(request.app.state.registry.models())
    # What it finds out is known to the next one who asks, so it is not cancelled.
    _asking.add(asking)
    asking.add_done_callback(_asking.discard)
    done, _ = await asyncio.wait({asking}, timeout=_PATIENCE_S)
    found: Mapping[str, Model] | None = asking.result() if done else None
    return found


async def _result(request: Request, benchmark_id: str) -> "ResultView":
    from novasystem.web.view_models.result import result_view

    service: Benchmarks = request.app.state.benchmarks
    benchmark = await service.get(owner_of(request), check_id(benchmark_id))
    samples = await service.samples(benchmark)
    readings = await service.readings(benchmark)
    return await asyncio.to_thread(result_view, benchmark, samples, readings)
