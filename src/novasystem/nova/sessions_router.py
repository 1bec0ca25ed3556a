"""``/api/nova/sessions``: what was said, and how it is taken away."""

from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response

from novasystem.http.owner import owner_of
from novasystem.nova.schemas import session_uuid
from novasystem.nova.service import Nova, Session
from novasystem.runs.records import Run
from novasystem.threads.records import Item

__all__ = ["router"]

router = APIRouter(prefix="/api/nova", tags=["Nova"])

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=64)]
_TITLE_CHARS = 120


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body, default=str), media_type="application/json")


def _shown(session: Session) -> dict[str, Any]:
    thread = session.thread
    return {
        "session_id": str(UUID(thread.id)),
        "title": session.title[:_TITLE_CHARS],
        "created_at": thread.created_at / 1000,
        "updated_at": thread.updated_at / 1000,
        "messages": thread.last_position,
        "active_run": thread.active_run,
    }


def _message(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "role": item.role,
        "text": item.content,
        "created_at": item.created_at / 1000,
        "status": item.status,
        "run_id": item.run_id,
    }


def _ask(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "status": run.status,
        "mode": run.request["mode"],
        "model": run.request["model"],
        "created_at": run.created_at / 1000,
        "ended_at": None if run.ended_at is None else run.ended_at / 1000,
        "usage": run.usage,
        "error": run.error,
    }


@router.get("/sessions", summary="The sessions, newest first", response_class=Response)
async def list_sessions(request: Request, limit: Limit = 20, after: Cursor = None) -> Response:
    """`after` is the id of the last session of the page before."""
    nova: Nova = request.app.state.nova
    found, more = await nova.sessions(
        owner_of(request), limit=limit, after=None if after is None else session_uuid(after)
    )
    rows = [_shown(session) for session in found]
    return _json(
        {
            "data": rows,
            "first_id": rows[0]["session_id"] if rows else None,
            "last_id": rows[-1]["session_id"] if rows else None,
            "has_more": more,
        }
    )


@router.get("/sessions/{session_id}", summary="One session", response_class=Response)
async def get_session(request: Request, session_id: str) -> Response:
    """What was said in it, oldest first, and its asks, whose chains
    `GET /api/nova/asks/{run_id}` reads: the newest 1,000 of each."""
    nova: Nova = request.app.state.nova
    session, items, runs = await nova.session(owner_of(request), session_uuid(session_id))
    return _json(
        {
            **_shown(session),
            "items": [_message(item) for item in items if item.kind == "message"],
            "asks": [_ask(run) for run in runs],
        }
    )


@router.delete("/sessions/{session_id}", summary="Delete a session", response_class=Response)
async def delete_session(request: Request, session_id: str) -> Response:
    """With all that was said in it, and what memory knows of it; an ask that goes on is ended."""
    nova: Nova = request.app.state.nova
    found = session_uuid(session_id)
    await nova.delete(owner_of(request), found)
    return _json({"session_id": str(found), "deleted": True})
