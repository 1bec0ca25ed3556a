"""``/api/runs``: every run of the owner's, of whatever kind: look, watch, cancel."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.engine import Connection

from novasystem.activity.encode import encode_events, event_error, page, shown_run, shown_step
from novasystem.errors import NotFound
from novasystem.http.owner import owner_of
from novasystem.http.sse import SseResponse, last_event_id
from novasystem.runs import store
from novasystem.runs.records import Run, Step
from novasystem.runs.service import Runs
from novasystem.runs.state import ENDED, RunStatus

__all__ = ["router"]

router = APIRouter(prefix="/api/runs", tags=["Runs"])

Row = TypeVar("Row", Run, Step)
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=64)]
Order = Literal["asc", "desc"]


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def _page(
    rows: Sequence[Row], limit: int, shown: Callable[[Row], dict[str, Any]], *, backwards: bool
) -> Response:
    """Of ``limit`` + 1 rows, the one too many says that there are more."""
    more = len(rows) > limit
    if more:
        rows = rows[1:] if backwards else rows[:-1]
    return _json(page([shown(row) for row in rows], more=more))


@router.get("", summary="The runs, newest first", response_class=Response)
async def list_runs(
    request: Request,
    limit: Limit = 20,
    after: Cursor = None,
    before: Cursor = None,
    order: Order = "desc",
    kind: Annotated[str | None, Query(max_length=32)] = None,
    status: RunStatus | None = None,
) -> Response:
    """`after` and `before` are ids of runs; `kind` and `status` choose among them."""
    owner_id = owner_of(request)
    runs: Runs = request.app.state.runs

    def read(connection: Connection) -> list[Run]:
        for name, cursor in (("after", after), ("before", before)):
            if cursor and store.get(connection, cursor, owner_id=owner_id) is None:
                raise NotFound("run", cursor, param=name)
        return store.list_runs(
            connection,
            owner_id=owner_id,
            kind=kind,
            status=status,
            limit=limit + 1,
            ascending=order == "asc",
            after=after,
            before=before,
        )

    found = await runs.database.read(read)
    return _page(found, limit, shown_run, backwards=bool(before and not after))


@router.get("/{run_id}", summary="One run", response_class=Response)
async def get_run(request: Request, run_id: str) -> Response:
    runs: Runs = request.app.state.runs
    return _json(shown_run(await runs.get(run_id, owner_of(request))))


@router.post("/{run_id}/cancel", summary="End a run", response_class=Response)
async def cancel_run(request: Request, run_id: str) -> Response:
    """One that is being carried out is `cancelling` for a moment; one that has ended is a 400."""
    runs: Runs = request.app.state.runs
    return _json(shown_run(await runs.cancel(run_id, owner_of(request))))


@router.get("/{run_id}/steps", summary="What a run has done", response_class=Response)
async def list_steps(
    request: Request,
    run_id: str,
    limit: Limit = 20,
    after: Cursor = None,
    before: Cursor = None,
    order: Order = "asc",
) -> Response:
    """Oldest first. `after` and `before` are ids of steps."""
    runs: Runs = request.app.state.runs
    run = await runs.get(run_id, owner_of(request))

    def read(connection: Connection) -> list[Step]:
        for name, cursor in (("after", after), ("before", before)):
            if cursor and store.get_step(connection, run.key, cursor) is None:
                raise NotFound("step", cursor, param=name)
        return store.list_steps(
            connection,
            run.key,
            limit=limit + 1,
            ascending=order == "asc",
            after=after,
            before=before,
        )

    found = await runs.database.read(read)
    return _page(found, limit, shown_step, backwards=bool(before and not after))


@router.get(
    "/{run_id}/events",
    summary="What happens in a run, from any point on",
    response_class=Response,
    responses={
        200: {
            "description": "Each event of the run, as it happens, until its end.",
            "content": {
                "text/event-stream": {
                    "example": 'id: 2\nevent: status\ndata: {"seq":2,"type":"status",'
                    '"data":{"status":"in_progress"},"at":1790000000.25}\n\n'
                    'event: text\ndata: {"seq":3,"type":"text","data":{"text":"5"},'
                    '"at":1790000000.31}\n\nid: 3\nevent: committed\ndata: {"seq":3}\n\n'
                }
            },
        },
        204: {"description": "It has ended, and nothing comes after that event."},
    },
    openapi_extra={
        "parameters": [{"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"}}]
    },
)
async def watch(
    request: Request, run_id: str, after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0
) -> Response:
    """`Last-Event-ID`, or else `after`, is the number of the last event that is known already.

    An event has an `id:` once all up to it is stored, so that a watcher that comes back with the
    last one it saw misses nothing. What was sent before it was stored has none; `committed` gives
    it later. After `rewound` everything with a higher number is void: other events come instead.
    A run does not stop because a watcher leaves here.
    """
    state = request.app.state
    runs: Runs = state.runs
    after = last_event_id(request) or after
    run = await runs.get(run_id, owner_of(request))
    after = min(after, run.last_seq)
    if run.status in ENDED and after == run.last_seq:
        return Response(status_code=204)
    return SseResponse(
        encode_events(runs.follow(run, after), after),
        on_error=event_error,
        limits=state.stream_limits,
        streams=state.streams,
        headers={"x-run-id": run.id},
    )
