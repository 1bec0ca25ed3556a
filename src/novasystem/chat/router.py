"""``POST /api/v1/chat``: one message in, a stream of events out; and the way back to a stream."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Request, Response

from novasystem.chat.encode import encode, stream_error
from novasystem.chat.schemas import ChatRequest, conversation_uuid
from novasystem.chat.service import Chat
from novasystem.errors import RunFailed
from novasystem.http.body import DirectRoute, read_body, takes
from novasystem.http.errors import CHAT_PATH
from novasystem.http.owner import owner_of
from novasystem.http.sse import AnswerResponse, SseResponse, last_event_id
from novasystem.runs.records import Run
from novasystem.runs.state import ENDED
from novasystem.storage.ids import new_id

__all__ = ["router"]

router = APIRouter(tags=["Chat"], route_class=DirectRoute)

_RESPONSES: dict[int | str, dict[str, object]] = {
    200: {
        "description": "`event: chunk` … then `event: done`, or `event: error`.",
        "content": {
            "text/event-stream": {
                "example": 'event: chunk\ndata: {"content":"5"}\n\n'
                'id: 7\nevent: done\ndata: {"conversation_id":"…","usage":{"tokens":2}}\n\n'
            }
        },
    }
}
_BEGUN: dict[str, object] = {
    "description": "With `Prefer: respond-async`: the turn has begun, and goes on by itself.",
    "content": {
        "application/json": {"example": {"conversation_id": "…", "run_id": "run_…"}},
    },
}


@router.post(
    CHAT_PATH,
    summary="Say something, and see the answer as it comes",
    response_class=Response,
    responses={**_RESPONSES, 202: _BEGUN},
    openapi_extra=takes(ChatRequest),
)
async def chat(request: Request) -> Response:
    """The conversation is remembered, and its id comes back in the last event.

    A client that leaves stops the answer; what was said by then is kept. With
    `Prefer: respond-async` the turn goes on by itself, and `/api/runs/{run_id}/events` shows it.
    """
    body = await read_body(request, ChatRequest)
    state = request.app.state
    new = body.conversation_id is None
    conversation_id = body.conversation_id or str(uuid4())
    request.scope["nova.log"] = {"conversation_id": conversation_id}
    service: Chat = state.chat
    owner_id = owner_of(request)
    # Known before the run is: the first thing sent may be a ping.
    run_id = new_id("run")

    async def begin() -> Run:
        return await service.say(
            owner_id,
            UUID(conversation_id),
            body.message,
            body.model,
            body.options(),
            run_id=run_id,
            new=new,
        )

    if "respond-async" in request.headers.get("prefer", "").lower():
        return _begun(request, begin, conversation_id, run_id)

    async def turn() -> AsyncGenerator[bytes, None]:
        run = await begin()
        try:
            seen = service.follow(run, run.last_seq)
            async with aclosing(encode(seen, conversation_id)) as encoded:
                async for event in encoded:
                    yield event
        except RunFailed:
            raise
        except BaseException:
            # The client has left; what the server itself ends, it marks as such.
            if not response.ended:
                service.leave(run)
            raise

    response = SseResponse(
        turn(),
        on_error=stream_error,
        limits=state.stream_limits,
        streams=state.streams,
        headers={"x-run-id": run_id},
    )
    return response


def _begun(
    request: Request, begin: Callable[[], Awaitable[Run]], conversation_id: str, run_id: str
) -> Response:
    """The answer to a turn that goes on by itself. Who leaves before it, leaves the line."""

    async def work() -> bytes:
        await begin()
        return orjson.dumps({"conversation_id": conversation_id, "run_id": run_id})

    headers = {
        "location": f"{request.scope.get('root_path', '')}/api/runs/{run_id}",
        "preference-applied": "respond-async",
        "x-run-id": run_id,
    }
    return AnswerResponse(work(), status_code=202, headers=headers)


@router.get(
    CHAT_PATH + "/{conversation_id}/events",
    summary="The last answer of a conversation again, and how it goes on",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra={
        "parameters": [
            {
                "name": "conversation_id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "format": "uuid"},
            },
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"}},
        ]
    },
)
async def resume(request: Request) -> Response:
    """A lost stream taken up again.

    It begins with `event: replace`, which holds all that was said up to the event that
    `Last-Event-ID` names and takes the place of what was shown.
    """
    state = request.app.state
    shown_id = request.path_params["conversation_id"]
    known = last_event_id(request)
    service: Chat = state.chat
    run = await service.last_turn(owner_of(request), conversation_uuid(shown_id))
    # Its end is told again to whoever knows it already: a stream without one would be a broken one.
    after = min(known, run.last_seq - (run.status in ENDED))
    said = await service.said(run, after)
    return SseResponse(
        encode(service.follow(run, after), shown_id, said),
        on_error=stream_error,
        limits=state.stream_limits,
        streams=state.streams,
        headers={"x-run-id": run.id},
    )
