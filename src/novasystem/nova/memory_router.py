"""``/api/nova/memory`` and ``/api/nova/tools``: what can be recalled, and what can be called."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response

from novasystem.http.owner import owner_of
from novasystem.nova.memory import Memory, Recalled, Remembered
from novasystem.nova.tools import Tools

__all__ = ["router"]

router = APIRouter(prefix="/api/nova", tags=["Nova"])

Limit = Annotated[int, Query(ge=1, le=100)]


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body, default=str), media_type="application/json")


def _shown(item: Remembered | Recalled) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": item.item_id,
        "session_id": str(UUID(item.thread_id)),
        "role": item.role,
        "text": item.text,
        "created_at": item.created_at / 1000,
    }
    if isinstance(item, Recalled):
        shown |= {"score": item.score, "found_by": item.found_by}
    return shown


@router.get("/memory", summary="What is remembered", response_class=Response)
async def list_memory(
    request: Request,
    query: Annotated[str | None, Query(max_length=32_000)] = None,
    limit: Limit = 20,
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Newest first; `after` is the id of the last one of the page before. With `query`: what would
    be found for it, the nearest first."""
    memory: Memory = request.app.state.memory
    owner_id = owner_of(request)
    found: Sequence[Remembered | Recalled]
    if query:
        found = await memory.recall(owner_id, query, limit=limit)
        more = False
    else:
        found = await memory.listed(owner_id, limit=limit + 1, after=after)
        more = len(found) > limit
    rows = [_shown(item) for item in found[:limit]]
    return _json(
        {
            "data": rows,
            "first_id": rows[0]["id"] if rows else None,
            "last_id": rows[-1]["id"] if rows else None,
            "has_more": more,
        }
    )


@router.delete("/memory", summary="Forget everything", response_class=Response)
async def erase_all(request: Request) -> Response:
    """Nothing that was said until now is recalled again; the sessions stay."""
    memory: Memory = request.app.state.memory
    return _json({"erased": await memory.erase_all(owner_of(request))})


@router.delete("/memory/{item_id}", summary="Forget one thing", response_class=Response)
async def erase(request: Request, item_id: str) -> Response:
    """It is never recalled again; in its session it stays."""
    memory: Memory = request.app.state.memory
    await memory.erase(owner_of(request), item_id)
    return _json({"id": item_id, "erased": True})


@router.get("/tools", summary="The tools of the agents", response_class=Response)
async def tools(request: Request) -> Response:
    """Those that can be called now, and under `problems` why a package or a server of the settings
    has none of its own here."""
    known: Tools = request.app.state.tools
    there = await known.all()
    return _json(
        {
            "data": [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    "repeatable": tool.repeatable,
                    "source": tool.source,
                }
                for tool in there.values()
            ],
            "problems": dict(known.problems),
        }
    )
