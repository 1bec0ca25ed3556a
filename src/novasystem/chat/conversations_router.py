"""``/api/conversations``: what the chat door remembers, listed, read, named and deleted."""

from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response

from novasystem.chat.conversations import Conversations
from novasystem.chat.figures import figures
from novasystem.chat.records import Conversation
from novasystem.chat.schemas import ConversationUpdate, conversation_uuid
from novasystem.http.body import read_body, takes
from novasystem.http.owner import owner_of
from novasystem.runs.records import Run
from novasystem.threads.records import Item

__all__ = ["router"]

router = APIRouter(prefix="/api/conversations", tags=["Chat"])

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def _service(request: Request) -> Conversations:
    service: Conversations = request.app.state.conversations
    return service


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


@router.get("", summary="The conversations, the newest turn first", response_class=Response)
async def list_conversations(request: Request, limit: Limit = 20, after: Cursor = None) -> Response:
    """`after` is the id of a conversation."""
    cursor = None if after is None else conversation_uuid(after)
    found, more = await _service(request).page(owner_of(request), limit, cursor)
    rows = [shown_conversation(one) for one in found]
    last = rows[-1]["id"] if rows else None
    return _json({"data": rows, "last_id": last, "has_more": more})


@router.get("/{conversation_id}", summary="One conversation", response_class=Response)
async def get_conversation(
    request: Request, conversation_id: str, limit: Limit = 50, before: Cursor = None
) -> Response:
    """Its newest messages, oldest of them first; `before` is the id of a message."""
    asked = conversation_uuid(conversation_id)
    talk = await _service(request).read(owner_of(request), asked, limit, before)
    said = [shown_message(item, talk.runs.get(item.run_id or "")) for item in talk.items]
    shown = shown_conversation(talk.conversation)
    return _json({**shown, "messages": said, "has_more": talk.earlier})


@router.patch(
    "/{conversation_id}",
    summary="Name a conversation",
    response_class=Response,
    openapi_extra=takes(ConversationUpdate),
)
async def name_conversation(request: Request, conversation_id: str) -> Response:
    """`null` for how it begins."""
    asked = conversation_uuid(conversation_id)
    body = await read_body(request, ConversationUpdate)
    named = await _service(request).name(owner_of(request), asked, body.title)
    return _json(shown_conversation(named))


@router.delete("/{conversation_id}", summary="Delete a conversation", status_code=204)
async def delete_conversation(request: Request, conversation_id: str) -> Response:
    """With all that was said; an answer that is being given is stopped first."""
    await _service(request).delete(owner_of(request), conversation_uuid(conversation_id))
    return Response(status_code=204)


def shown_conversation(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": str(UUID(conversation.id)),
        "title": conversation.title,
        "created_at": conversation.created_at / 1000,
        "updated_at": conversation.updated_at / 1000,
        "active_run": conversation.active_run,
        "model": conversation.last.request.get("model"),
    }


def shown_message(item: Item, run: Run | None) -> dict[str, Any]:
    said = figures(item, run)
    return {
        "id": item.id,
        "kind": item.kind,
        "role": item.role,
        "content": item.content,
        "status": item.status,
        "incomplete_reason": item.incomplete_reason,
        "created_at": item.created_at / 1000,
        "run_id": item.run_id,
        "model": None if run is None else run.request.get("model"),
        "tokens": item.token_count if item.token_count_exact else None,
        "ttft_s": said.ttft_s,
        "seconds": said.seconds,
        "tokens_per_s": said.tokens_per_s,
    }
