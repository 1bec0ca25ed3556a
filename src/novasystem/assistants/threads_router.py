"""``/v1/threads``, and their messages."""

from typing import Any

from fastapi import APIRouter, Request, Response

from novasystem.assistants.answers import json_answer
from novasystem.assistants.encode import (
    deleted_object,
    list_object,
    message_object,
    thread_object,
)
from novasystem.assistants.pages import PAGE_PARAMETERS, Page, check_query
from novasystem.assistants.requests import (
    check_thread,
    message_item,
    message_items,
    refuse_unknown,
    shown_id,
    thread_hex,
)
from novasystem.assistants.schemas import (
    MessageCreate,
    MetadataUpdate,
    ThreadCreate,
    ThreadUpdate,
)
from novasystem.assistants.service import Assistants
from novasystem.http.body import DirectRoute, has_body, read_body, takes
from novasystem.http.owner import owner_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/threads", tags=["Threads"], route_class=DirectRoute)


def _in_path(*names: str) -> list[dict[str, object]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


_THREAD = {"parameters": _in_path("thread_id")}
_MESSAGE = {"parameters": _in_path("thread_id", "message_id")}
_RUN_FILTER = {"name": "run_id", "in": "query", "schema": {"type": "string"}}


def _service(request: Request) -> Assistants:
    service: Assistants = request.app.state.assistants
    return service


def _max_chars(request: Request) -> int:
    chars: int = request.app.state.settings.max_prompt_chars
    return chars


@router.post("", summary="Make a thread", status_code=201, openapi_extra=takes(ThreadCreate))
async def create_thread(request: Request) -> Response:
    check_query(request)
    body = await read_body(request, ThreadCreate) if has_body(request) else ThreadCreate()
    check_thread(body)
    thread = await _service(request).create_thread(
        owner_of(request),
        message_items(body.messages, _max_chars(request), "messages"),
        body.metadata,
        body.tool_resources,
    )
    return json_answer(thread_object(thread), 201)


@router.get("/{thread_id}", summary="One thread", openapi_extra=_THREAD)
async def get_thread(request: Request) -> Response:
    check_query(request)
    thread_id = thread_hex(request.path_params["thread_id"])
    return json_answer(thread_object(await _service(request).thread(owner_of(request), thread_id)))


@router.post(
    "/{thread_id}",
    summary="Change a thread's metadata",
    openapi_extra={**takes(ThreadUpdate), **_THREAD},
)
async def update_thread(request: Request) -> Response:
    check_query(request)
    body = await read_body(request, ThreadUpdate)
    check_thread(body)
    given = body.model_fields_set
    values: dict[str, Any] = {
        name: getattr(body, name) for name in ("metadata", "tool_resources") if name in given
    }
    if "metadata" in values:
        values["metadata"] = body.metadata or {}
    thread_id = thread_hex(request.path_params["thread_id"])
    thread = await _service(request).update_thread(owner_of(request), thread_id, values)
    return json_answer(thread_object(thread))


@router.delete("/{thread_id}", summary="Delete a thread", openapi_extra=_THREAD)
async def delete_thread(request: Request) -> Response:
    """With its messages, runs, steps and events; an active run is stopped first."""
    check_query(request)
    shown_id = request.path_params["thread_id"]
    await _service(request).delete_thread(owner_of(request), thread_hex(shown_id))
    return json_answer(deleted_object(shown_id, "thread"))


@router.post(
    "/{thread_id}/messages",
    summary="Add a message",
    status_code=201,
    openapi_extra={**takes(MessageCreate), **_THREAD},
)
async def create_message(request: Request) -> Response:
    """A 400 while a run is active: it would miss the message."""
    check_query(request)
    thread_id = thread_hex(request.path_params["thread_id"])
    message = message_item(await read_body(request, MessageCreate), _max_chars(request))
    item = await _service(request).add_message(owner_of(request), thread_id, message)
    return json_answer(message_object(item, thread_id), 201)


@router.get(
    "/{thread_id}/messages",
    summary="A thread's messages",
    openapi_extra={"parameters": [*_in_path("thread_id"), *PAGE_PARAMETERS, _RUN_FILTER]},
)
async def list_messages(request: Request) -> Response:
    """Newest first; `order=asc` reads them in the order of the conversation."""
    page = Page.of(request, "run_id")
    thread_id = thread_hex(request.path_params["thread_id"])
    run_id = request.query_params.get("run_id") or None
    if run_id is not None:
        shown_id(run_id, "run")
    found = await _service(request).messages(owner_of(request), thread_id, page, run_id)
    rows = (message_object(item, thread_id) for item in found.rows)
    return json_answer(list_object(rows, found.has_more))


@router.get("/{thread_id}/messages/{message_id}", summary="One message", openapi_extra=_MESSAGE)
async def get_message(request: Request) -> Response:
    check_query(request)
    thread_id = thread_hex(request.path_params["thread_id"])
    message_id = shown_id(request.path_params["message_id"], "message")
    item = await _service(request).message(owner_of(request), thread_id, message_id)
    return json_answer(message_object(item, thread_id))


@router.post(
    "/{thread_id}/messages/{message_id}",
    summary="Change a message's metadata",
    openapi_extra={**takes(MetadataUpdate), **_MESSAGE},
)
async def update_message(request: Request) -> Response:
    check_query(request)
    body = await read_body(request, MetadataUpdate)
    refuse_unknown(body)
    thread_id = thread_hex(request.path_params["thread_id"])
    message_id = shown_id(request.path_params["message_id"], "message")
    item = await _service(request).update_message(
        owner_of(request), thread_id, message_id, body.given
    )
    return json_answer(message_object(item, thread_id))


@router.delete(
    "/{thread_id}/messages/{message_id}", summary="Delete a message", openapi_extra=_MESSAGE
)
async def delete_message(request: Request) -> Response:
    check_query(request)
    thread_id = thread_hex(request.path_params["thread_id"])
    message_id = shown_id(request.path_params["message_id"], "message")
    await _service(request).delete_message(owner_of(request), thread_id, message_id)
    return json_answer(deleted_object(message_id, "thread.message"))
