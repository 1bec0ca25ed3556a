"""``/api/benchmarks``: run, watch, cancel, look back, export.

What only some requests need is imported by them: a server starts without it.
"""

import asyncio
import datetime
from typing import Annotated, Literal
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Query, Request, Response

from novasystem.benchmarks.encode import encode_events, event_error, shown
from novasystem.benchmarks.history import History
from novasystem.benchmarks.records import BenchmarkStatus
from novasystem.benchmarks.schemas import BenchmarkRequest, bounded
from novasystem.benchmarks.service import Benchmarks
from novasystem.benchmarks.stores import Query as Asked
from novasystem.benchmarks.stores.facts import Sort
from novasystem.benchmarks.stores.query import check_id
from novasystem.benchmarks.watching import watch_all
from novasystem.errors import InvalidRequest, MalformedRequest
from novasystem.http.body import read_body, takes
from novasystem.http.owner import owner_of
from novasystem.http.sse import AnswerResponse, SseResponse, last_event_id
from novasystem.runs.state import ENDED

__all__ = ["router"]

router = APIRouter(prefix="/api/benchmarks", tags=["Benchmarks"])

_EVENT_STREAM: dict[int | str, dict[str, object]] = {
    200: {
        "description": "Unnamed events, each with an id.",
        "content": {
            "text/event-stream": {
                "example": 'id: 7\ndata: {"type":"token","benchmark_id":"bench_…",'
                '"model":"nova-tiny","number":0,"text":"4","reasoning":false,"at":1790000000.2}\n\n'
            }
        },
    }
}
MOST_COMPARED = 10
When = Annotated[datetime.datetime | None, Query()]


def _json(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(body), status_code=status, headers=headers, media_type="application/json"
    )


def _known(benchmark_id: str) -> str:
    """Raises ``MalformedRequest`` for what cannot be an id: it is told apart from an absent one."""
    try:
        return check_id(benchmark_id)
    except InvalidRequest as error:
        raise MalformedRequest(error.message, hint=error.hint, param="benchmark_id") from None


@router.post(
    "/run",
    summary="Measure models, and answer with what was found",
    response_class=Response,
    responses={
        200: {"description": "The finished benchmark."},
        202: {"description": "With `Prefer: respond-async`: it has begun."},
    },
    openapi_extra=takes(BenchmarkRequest),
)
async def run(request: Request) -> Response:
    """A client that leaves before the answer stops the benchmark; what had arrived is kept.

    With `Prefer: respond-async` it goes on by itself: the answer is 202 with its id and, as
    `Location`, where to look.
    """
    body = await read_body(request, BenchmarkRequest)
    state = request.app.state
    service: Benchmarks = state.benchmarks
    plan = bounded(body.as_plan(), state.settings.max_prompt_chars)
    owner_id = owner_of(request)
    if "respond-async" in request.headers.get("prefer", "").lower():
        begun = await service.start(plan, owner_id)
        where = f"{request.scope.get('root_path', '')}/api/benchmarks/history/{begun.id}"
        headers = {"location": where, "preference-applied": "respond-async"}
        return _json(shown(begun), status=202, headers=headers)

    async def work() -> bytes:
        begun = await service.start(plan, owner_id, watched=True)
        request.scope["nova.log"] = {"benchmark_id": begun.id}
        return orjson.dumps(shown(await service.finish(begun)))

    return AnswerResponse(work())


@router.get("/history", summary="What was measured, newest first", response_class=Response)
async def history(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, lt=2**53)] = 0,
    after: Annotated[str | None, Query(max_length=64)] = None,
    model: Annotated[str | None, Query(max_length=512)] = None,
    since: When = None,
    until: When = None,
    text: Annotated[str | None, Query(max_length=1000)] = None,
    success: bool | None = None,
    status: Annotated[list[BenchmarkStatus] | None, Query()] = None,
    sort: Sort = "timestamp",
    order: Literal["asc", "desc"] = "desc",
    archived: Literal["no", "yes", "all"] = "no",
) -> Response:
    """An array of benchmarks; `X-Total-Count` says how many there are under these filters, and
    `Link` where the next page is. They come without their plans, metrics and long texts: those are
    at `/history/{benchmark_id}`.
    """
    asked = Asked(
        owner_id=owner_of(request),
        limit=limit,
        offset=offset,
        after=after,
        model=model,
        since=_zoned(since),
        until=_zoned(until),
        text=text,
        success=success,
        statuses=tuple(status or ()),
        sort=sort,
        descending=order == "desc",
        archived={"no": False, "yes": True, "all": None}[archived],
    )
    pages: History = request.app.state.benchmark_history
    page = await pages.page(asked)
    headers = {"x-total-count": str(page.total), "cache-control": "no-cache"}
    if page.last_id is not None and page.count == limit:
        kept = [
            (k, v) for k, v in request.query_params.multi_items() if k not in {"offset", "after"}
        ]
        root = request.scope.get("root_path", "")
        target = f"{root}/api/benchmarks/history?{urlencode([*kept, ('after', page.last_id)])}"
        headers["link"] = f'<{target}>; rel="next"'
    return Response(page.body, headers=headers, media_type="application/json")


def _zoned(at: datetime.datetime | None) -> datetime.datetime | None:
    """A time without a zone is UTC, as the times are that are given out."""
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=datetime.UTC)


@router.get("/history/{benchmark_id}", summary="One benchmark", response_class=Response)
async def get_benchmark(request: Request, benchmark_id: str) -> Response:
    """One that still goes on has the results of what has arrived."""
    service: Benchmarks = request.app.state.benchmarks
    return _json(shown(await service.get(owner_of(request), _known(benchmark_id))))


@router.delete("/history/{benchmark_id}", summary="Delete a benchmark", status_code=204)
async def delete_benchmark(request: Request, benchmark_id: str) -> Response:
    """With its samples. One that still goes on is cancelled before."""
    service: Benchmarks = request.app.state.benchmarks
    await service.delete(owner_of(request), _known(benchmark_id))
    return Response(status_code=204)


@router.get("/summary", summary="Each model over history", response_class=Response)
async def summary(
    request: Request,
    model: Annotated[str | None, Query(max_length=512)] = None,
    since: When = None,
    until: When = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Response:
    """Least, most, mean, median and 95th percentile over the newest `limit` benchmarks, each of
    which counts once."""
    from novasystem.benchmarks.over_history import over_history

    service: Benchmarks = request.app.state.benchmarks
    asked = Asked(
        owner_id=owner_of(request),
        limit=limit,
        model=model,
        since=_zoned(since),
        until=_zoned(until),
    )
    page = await service.list(asked)
    found = await asyncio.to_thread(over_history, page.benchmarks)
    models = [one.model_dump() for one in found if model is None or one.model == model]
    return _json({"benchmarks": len(page.benchmarks), "of": page.total, "models": models})


@router.get("/compare", summary="Two or more benchmarks beside each other", response_class=Response)
async def compare_benchmarks(
    request: Request,
    ids: Annotated[str, Query(min_length=3, max_length=1000)],
    minimum_effect: Annotated[float, Query(ge=0, le=10)] = 0.05,
    fail_on: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """`ids` are two to ten, with commas between: each is held against the first.

    What was not the same comes first (`conditions`), then for each model and metric the difference
    and its verdict: `slower`, `faster`, `higher`, `lower` or `no evidence`. With `fail_on`, such as
    `ttft_s>10%`, `gate` says whether a rule is broken.
    """
    from novasystem.benchmarks.compare import compare
    from novasystem.benchmarks.gate import decide, rule

    names = [_known(name.strip()) for name in ids.split(",") if name.strip()]
    if len(names) > MOST_COMPARED:
        raise InvalidRequest(f"At most {MOST_COMPARED} are compared at once.", param="ids")
    rules = [rule(text) for text in fail_on or ()]
    service: Benchmarks = request.app.state.benchmarks
    owner_id = owner_of(request)
    pairs = []
    for name in names:
        benchmark = await service.get(owner_id, name)
        pairs.append((benchmark, await service.samples(benchmark)))
    found = await asyncio.to_thread(compare, pairs, minimum_effect=minimum_effect)
    body = found.model_dump(mode="json")
    if rules:
        gate = decide(found, rules)
        body["gate"] = {"passed": gate.passed, "failures": gate.failures, "notes": gate.notes}
    return _json(body)


@router.get(
    "/stream",
    summary="Everything that is measured now",
    response_class=Response,
    responses=_EVENT_STREAM,
)
async def stream(request: Request) -> Response:
    """First a `snapshot` of the newest benchmarks, then every event of every one that goes on.

    Whoever comes back gets a new snapshot.
    """
    state = request.app.state
    return SseResponse(
        watch_all(state.benchmarks, owner_of(request)),
        on_error=event_error,
        limits=state.stream_limits,
        streams=state.streams,
    )


@router.post("/{benchmark_id}/cancel", summary="Stop a benchmark", response_class=Response)
async def cancel(request: Request, benchmark_id: str) -> Response:
    """What had arrived is kept; one that has ended is a 400."""
    service: Benchmarks = request.app.state.benchmarks
    return _json(shown(await service.cancel(owner_of(request), _known(benchmark_id))))


@router.get(
    "/{benchmark_id}/events",
    summary="What happens in one benchmark, from any point on",
    response_class=Response,
    responses={**_EVENT_STREAM, 204: {"description": "Nothing comes after that event."}},
    openapi_extra={
        "parameters": [{"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"}}]
    },
)
async def events(request: Request, benchmark_id: str) -> Response:
    """`Last-Event-ID` is the id of the last event that is known already. Its last event is a
    `status`; the benchmark does not stop because a watcher leaves."""
    state = request.app.state
    service: Benchmarks = state.benchmarks
    known = last_event_id(request)
    run, found = await service.follow(owner_of(request), _known(benchmark_id), known)
    if run.status in ENDED and known >= run.last_seq:
        await found.aclose()
        return Response(status_code=204)
    return SseResponse(
        encode_events(found, benchmark_id),
        on_error=event_error,
        limits=state.stream_limits,
        streams=state.streams,
    )


@router.get("/{benchmark_id}/export", summary="A report of one benchmark", response_class=Response)
async def export(
    request: Request,
    benchmark_id: str,
    format: Annotated[str, Query(max_length=32)] = "json",  # noqa: A002
) -> Response:
    """`format` is one of json, csv (a row a model), samples (a row a request), markdown, html and
    text."""
    from novasystem.benchmarks.reports.formats import FORMATS, render

    service: Benchmarks = request.app.state.benchmarks
    benchmark = await service.get(owner_of(request), _known(benchmark_id))
    samples = await service.samples(benchmark)
    readings = await service.readings(benchmark)
    body = await asyncio.to_thread(render, format, benchmark, samples, readings)
    kind = FORMATS[format]
    name = f'attachment; filename="{benchmark.id}{kind.ending}"'
    return Response(body, headers={"content-disposition": name}, media_type=kind.media_type)
