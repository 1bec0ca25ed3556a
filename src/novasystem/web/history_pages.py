"""The page of history."""

from fastapi import APIRouter, Request, Response

from novasystem.web.rendering import render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/history")
async def history_page(request: Request) -> Response:
    return render(request, "history.html")
