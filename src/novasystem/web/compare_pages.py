"""The page of comparisons: two or more benchmarks beside each other."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from novasystem.benchmarks.router import MOST_COMPARED
from novasystem.benchmarks.service import Benchmarks
from novasystem.benchmarks.stores.query import check_id
from novasystem.errors import InvalidRequest, NotFound
from novasystem.http.owner import owner_of
from novasystem.web.rendering import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/compare")
async def compare_page(
    request: Request, ids: Annotated[list[str] | None, Query(max_length=50)] = None
) -> Response:
    """``ids``: with commas between, or several times; each is held against the first."""
    from novasystem.benchmarks.compare import compare
    from novasystem.web.view_models.compare import CompareView

    given = [part.strip() for text in ids or () for part in text.split(",")]
    names = list(dict.fromkeys(name for name in given if name))
    if not names:
        return render(request, "compare.html", CompareView())
    service: Benchmarks = request.app.state.benchmarks
    owner_id = owner_of(request)
    try:
        if len(names) > MOST_COMPARED:
            raise InvalidRequest(f"At most {MOST_COMPARED} are compared at once.", param="ids")
        benchmarks = [await service.get(owner_id, check_id(name)) for name in names]
        pairs = [(one, await service.samples(one)) for one in benchmarks]
        found = await asyncio.to_thread(compare, pairs)
        view = await asyncio.to_thread(CompareView.of, benchmarks, found)
    except (InvalidRequest, NotFound) as error:
        return render(request, "compare.html", CompareView(problem=str(error)))
    return render(request, "compare.html", view)
