"""The page of comparisons."""

from fastapi import APIRouter, Request, Response

from novasystem.web.rendering import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/compare")
async def compare_page(request: Request) -> Response:
    return render(request, "compare.html")
