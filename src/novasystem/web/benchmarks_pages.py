"""The page of benchmarks: ask, watch, look at what came of it."""

from fastapi import APIRouter, Request, Response

from novasystem.web.rendering import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/")
@router.get("/api/benchmarks/")
async def benchmarks_page(request: Request) -> Response:
    return render(request, "benchmarks.html")
