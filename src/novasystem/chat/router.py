"""``POST /api/v1/chat``: one message in, a stream of events out."""

from uuid import uuid4

from fastapi import APIRouter, Request, Response

from novasystem.chat.encode import encode, stream_error
from novasystem.chat.schemas import ChatRequest
from novasystem.engines.requests import GenerateRequest, Message
from novasystem.http.body import DirectRoute, read_body, takes
from novasystem.http.errors import CHAT_PATH
from novasystem.http.sse import SseResponse

__all__ = ["router"]

router = APIRouter(tags=["Chat"], route_class=DirectRoute)

_RESPONSES: dict[int | str, dict[str, object]] = {
    200: {
        "description": "`event: chunk` … then `event: done`, or `event: error`.",
        "content": {
            "text/event-stream": {
                "example": 'event: chunk\ndata: {"content":"5"}\n\n'
                'event: done\ndata: {"conversation_id":"…","usage":{"tokens":2}}\n\n'
            }
        },
    }
}


@router.post(
    CHAT_PATH,
    summary="Say something, and see the answer as it comes",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=takes(ChatRequest),
)
async def chat(request: Request) -> Response:
    """The conversation_id comes back in the last event. A client that leaves stops the answer."""
    body = await read_body(request, ChatRequest)
    state = request.app.state
    conversation_id = body.conversation_id or str(uuid4())
    request.scope["nova.log"] = {"conversation_id": conversation_id}
    asked = GenerateRequest(
        model=body.model or "",
        messages=(Message("user", body.message),),
        limits=state.limits,
    )
    return SseResponse(
        encode(state.registry.generate(asked), conversation_id),
        on_error=stream_error,
        limits=state.stream_limits,
        streams=state.streams,
    )
