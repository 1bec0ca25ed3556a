"""``/api/nova``: one question in, the answer of a team out, at once or as it happens."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Request, Response

from novasystem.errors import MalformedRequest, RunFailed
from novasystem.http.body import DirectRoute, read_body, takes
from novasystem.http.owner import owner_of
from novasystem.http.sse import AnswerResponse, SseResponse, last_event_id
from novasystem.nova.encode import answer, encode, stream_error
from novasystem.nova.schemas import AskRequest
from novasystem.nova.service import Nova, Question
from novasystem.runs.records import Run
from novasystem.runs.state import ENDED
from novasystem.storage.ids import new_id

__all__ = ["router"]

router = APIRouter(prefix="/api/nova", tags=["Nova"], route_class=DirectRoute)

_STREAM: dict[str, Any] = {
    "text/event-stream": {
        "example": 'id: 3\nevent: begun\ndata: {"type":"begun","mode":"team"}\n\n'
        'event: token\ndata: {"type":"token","step_id":"r1.plan","text":"{"}\n\n'
        'id: 90\nevent: done\ndata: {"type":"done","text":"…"}\n\n'
    }
}
_RUN_ID = {"name": "run_id", "in": "path", "required": True, "schema": {"type": "string"}}
_LAST = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"}}
_CHAIN = {"name": "include_chain", "in": "query", "schema": {"type": "boolean", "default": True}}


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body, default=str), media_type="application/json")


def _chain(request: Request) -> bool:
    given = request.query_params.get("include_chain", "true").casefold()
    if given not in {"true", "false"}:
        msg = f"'include_chain' is true or false, not '{given[:40]}'."
        raise MalformedRequest(msg, param="include_chain")
    return given == "true"


@router.post(
    "/ask",
    summary="Ask a team of agents",
    response_class=Response,
    responses={
        200: {"description": "The answer, or with `stream` its events.", "content": _STREAM}
    },
    openapi_extra=takes(AskRequest),
)
async def ask(request: Request) -> Response:
    """The question and the answer are kept in the session, and its id is part of the answer.

    The ask goes on when its client leaves: `GET /api/nova/asks/{run_id}` reads the answer, and
    its `events` take a lost stream up again.
    """
    body = await read_body(request, AskRequest)
    session_id = UUID(body.session_id) if body.session_id else uuid4()
    # Known before the run is: the first thing sent may be a ping.
    run_id = new_id("run")
    request.scope["nova.log"] = {
        "session_id": str(session_id),
        "run_id": run_id,
        "prompt_chars": len(body.prompt),
    }
    nova: Nova = request.app.state.nova
    question = Question(
        body.prompt,
        body.model,
        body.mode,
        body.parameters.temperature,
        body.parameters.seed,
        body.parameters.limits(),
    )
    begin = partial(nova.ask, owner_of(request), session_id, question, run_id=run_id)
    headers = {"x-run-id": run_id}
    if body.stream:

        async def stream() -> AsyncGenerator[bytes, None]:
            run = await begin()
            async with aclosing(_events(nova, run, include_chain=body.include_chain)) as events:
                async for event in events:
                    yield event

        return _streamed(request, stream(), headers)

    async def whole() -> bytes:
        run = await nova.finished(await begin())
        if run.error is not None:
            failed = RunFailed(run.error["code"], run.error["message"])
            failed.hint = f"GET /api/nova/asks/{run.id} shows how far it came."
            raise failed
        said = answer(run, await nova.progress(run), include_chain=body.include_chain)
        return orjson.dumps(said, default=str)

    return AnswerResponse(whole(), headers=headers)


async def _events(nova: Nova, run: Run, *, include_chain: bool) -> AsyncGenerator[bytes, None]:
    async def ended() -> Run:
        return await nova.get(run.owner_id, run.id)

    encoded = encode(run, nova.follow(run), ended, include_chain=include_chain)
    async with aclosing(encoded) as events:
        async for event in events:
            yield event


def _streamed(
    request: Request, source: AsyncGenerator[bytes, None], headers: dict[str, str]
) -> SseResponse:
    state = request.app.state
    return SseResponse(
        source,
        on_error=stream_error,
        limits=state.stream_limits,
        streams=state.streams,
        headers=headers,
    )


@router.get(
    "/asks/{run_id}",
    summary="An answer as it is now",
    response_class=Response,
    openapi_extra={"parameters": [_RUN_ID, _CHAIN]},
)
async def read(request: Request) -> Response:
    """While the ask goes on, its chain ends with the last step that is done."""
    nova: Nova = request.app.state.nova
    run = await nova.get(owner_of(request), request.path_params["run_id"])
    return _json(answer(run, await nova.progress(run), include_chain=_chain(request)))


@router.get(
    "/asks/{run_id}/events",
    summary="What happens in an ask, from any point on",
    response_class=Response,
    responses={200: {"description": "Its events until its end.", "content": _STREAM}},
    openapi_extra={"parameters": [_RUN_ID, _CHAIN, _LAST]},
)
async def resume(request: Request) -> Response:
    """With `Last-Event-ID` it begins with `replace`, which holds all that was shown up to that
    event and takes its place."""
    nova: Nova = request.app.state.nova
    run = await nova.get(owner_of(request), request.path_params["run_id"])
    # Its end is told again to whoever knows it already: a stream without one would be broken.
    after = min(last_event_id(request), run.last_seq - (run.status in ENDED))
    known = await nova.events(run, after) if after > 0 else None

    async def ended() -> Run:
        return await nova.get(run.owner_id, run.id)

    source = encode(
        run, nova.follow(run, max(0, after)), ended, include_chain=_chain(request), known=known
    )
    return _streamed(request, source, {"x-run-id": run.id})


@router.post(
    "/asks/{run_id}/cancel",
    summary="End an ask",
    response_class=Response,
    openapi_extra={"parameters": [_RUN_ID]},
)
async def cancel(request: Request) -> Response:
    """The engine stops within a second; what was done stays in the chain."""
    nova: Nova = request.app.state.nova
    run = await nova.cancel(owner_of(request), request.path_params["run_id"])
    return _json({"run_id": run.id, "status": run.status})


@router.get("/agents", summary="The agents", response_class=Response)
async def agents(request: Request) -> Response:
    nova: Nova = request.app.state.nova
    return _json({"data": nova.shown_agents()})
