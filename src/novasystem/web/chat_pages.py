"""The page of chat. Saying, naming and deleting are the APIs'; here is only what is shown."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response

from novasystem.chat.conversations import Conversations
from novasystem.chat.records import Talk
from novasystem.chat.schemas import conversation_uuid
from novasystem.http.owner import owner_of
from novasystem.web.benchmarks_pages import models_now
from novasystem.web.rendering import render, render_block

if TYPE_CHECKING:
    from novasystem.web.view_models.chat import ChatView

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_ENTRIES = 30
_MESSAGES = 60
Cursor = Annotated[str | None, Query(max_length=64)]


@router.get("/chat")
async def chat_page(request: Request) -> Response:
    """A conversation that has not begun."""
    return render(request, "chat.html", await _view(request, None))


@router.get("/chat/list")
async def conversations_block(
    request: Request, after: Cursor = None, here: Cursor = None
) -> Response:
    """The conversations at the left, or the further ones behind ``after``."""
    from novasystem.web.view_models.chat import ChatView

    cursor = None if after is None else conversation_uuid(after)
    found, more = await _service(request).page(owner_of(request), _ENTRIES, cursor)
    talk = None
    if here:
        talk = await _service(request).read(owner_of(request), conversation_uuid(here), 1)
    view = ChatView.of(found, more, {}, "", talk)
    return render_block(request, "chat.html", "entries", view)


@router.get("/chat/{conversation_id}")
async def conversation_page(request: Request, conversation_id: str) -> Response:
    asked = conversation_uuid(conversation_id)
    talk = await _service(request).read(owner_of(request), asked, _MESSAGES)
    return render(request, "chat.html", await _view(request, talk))


@router.get("/chat/{conversation_id}/earlier")
async def earlier_block(
    request: Request,
    conversation_id: str,
    before: Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")],
) -> Response:
    """What was said before the message ``before``."""
    asked = conversation_uuid(conversation_id)
    talk = await _service(request).read(owner_of(request), asked, _MESSAGES, before)
    return await _messages(request, talk)


@router.get("/chat/{conversation_id}/turn/{run_id}")
async def turn_block(request: Request, conversation_id: str, run_id: str) -> Response:
    """The messages of one turn, once it has ended."""
    service = _service(request)
    owner_id = owner_of(request)
    talk = await service.read(owner_id, conversation_uuid(conversation_id), _MESSAGES)
    items = tuple(item for item in talk.items if item.run_id == run_id)
    return await _messages(request, Talk(talk.conversation, items, talk.runs, False))


async def _messages(request: Request, talk: Talk) -> Response:
    from novasystem.web.view_models.chat import ChatView

    view = ChatView.of((), False, {}, "", talk)
    return render_block(request, "chat.html", "messages", view)


async def _view(request: Request, talk: Talk | None) -> "ChatView":
    from novasystem.web.view_models.chat import ChatView

    found, more = await _service(request).page(owner_of(request), _ENTRIES)
    models = await models_now(request)
    default: str = request.app.state.registry.default_model
    return ChatView.of(found, more, models, default, talk)


def _service(request: Request) -> Conversations:
    service: Conversations = request.app.state.conversations
    return service


@router.get("/chat/models/{chosen:path}")
async def models_block(request: Request, chosen: str) -> Response:
    """The models to choose from, however long the engines take to say."""
    from novasystem.web.view_models.chat import ChatView, choices

    models = await request.app.state.registry.models()
    view = ChatView((), "", "", "", False, (), "", "", choices(models, chosen), {})
    return render_block(request, "chat.html", "choices", view)
