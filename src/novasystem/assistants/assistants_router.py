"""``/v1/assistants``."""

from fastapi import APIRouter, Request, Response

from novasystem.assistants.answers import json_answer
from novasystem.assistants.encode import assistant_object, deleted_object, list_object
from novasystem.assistants.pages import PAGE_PARAMETERS, Page, check_query
from novasystem.assistants.requests import assistant_values, shown_id
from novasystem.assistants.schemas import AssistantCreate, AssistantUpdate
from novasystem.assistants.service import Assistants
from novasystem.http.body import DirectRoute, read_body, takes
from novasystem.http.owner import owner_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/assistants", tags=["Assistants"], route_class=DirectRoute)
_ID = {"name": "assistant_id", "in": "path", "required": True, "schema": {"type": "string"}}
_ONE = {"parameters": [_ID]}


def _service(request: Request) -> Assistants:
    service: Assistants = request.app.state.assistants
    return service


@router.post("", summary="Make an assistant", status_code=201, openapi_extra=takes(AssistantCreate))
async def create_assistant(request: Request) -> Response:
    check_query(request)
    values = assistant_values(await read_body(request, AssistantCreate))
    assistant = await _service(request).create(owner_of(request), values)
    return json_answer(assistant_object(assistant), 201)


@router.get("", summary="All assistants", openapi_extra={"parameters": PAGE_PARAMETERS})
async def list_assistants(request: Request) -> Response:
    found = await _service(request).page(owner_of(request), Page.of(request))
    return json_answer(list_object(map(assistant_object, found.rows), found.has_more))


@router.get("/{assistant_id}", summary="One assistant", openapi_extra=_ONE)
async def get_assistant(request: Request) -> Response:
    check_query(request)
    assistant_id = shown_id(request.path_params["assistant_id"], "assistant")
    assistant = await _service(request).get(owner_of(request), assistant_id)
    return json_answer(assistant_object(assistant))


@router.post(
    "/{assistant_id}",
    summary="Change an assistant",
    openapi_extra={**takes(AssistantUpdate), **_ONE},
)
async def update_assistant(request: Request) -> Response:
    """What is given takes the place of what was. Runs that have begun go on as they were."""
    check_query(request)
    values = assistant_values(await read_body(request, AssistantUpdate))
    assistant_id = shown_id(request.path_params["assistant_id"], "assistant")
    assistant = await _service(request).update(owner_of(request), assistant_id, values)
    return json_answer(assistant_object(assistant))


@router.delete("/{assistant_id}", summary="Delete an assistant", openapi_extra=_ONE)
async def delete_assistant(request: Request) -> Response:
    """Its threads and its past runs stay."""
    check_query(request)
    assistant_id = shown_id(request.path_params["assistant_id"], "assistant")
    await _service(request).delete(owner_of(request), assistant_id)
    return json_answer(deleted_object(assistant_id, "assistant"))
