"""``/v1/threads/{id}/runs``, their steps, and ``/v1/threads/runs``."""

from fastapi import APIRouter, Request, Response

from novasystem.assistants.answers import json_answer, run_answer, run_stream
from novasystem.assistants.encode import list_object, run_object, step_object
from novasystem.assistants.pages import PAGE_PARAMETERS, Page, check_query
from novasystem.assistants.requests import (
    message_items,
    refuse_unknown,
    run_request,
    shown_id,
    thread_hex,
    tool_outputs,
)
from novasystem.assistants.running import AssistantRuns
from novasystem.assistants.schemas import (
    MetadataUpdate,
    RunCreate,
    ThreadCreate,
    ThreadRunCreate,
    ToolOutputs,
)
from novasystem.errors import MalformedRequest
from novasystem.http.body import DirectRoute, read_body, takes
from novasystem.http.owner import owner_of
from novasystem.http.sse import last_event_id

__all__ = ["router"]

router = APIRouter(prefix="/v1/threads", tags=["Runs"], route_class=DirectRoute)
_WAIT = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=SECONDS`: answer once the run has ended, or waits for outputs.",
    "schema": {"type": "string"},
}


def _in_path(*names: str) -> list[dict[str, object]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


_RUN = _in_path("thread_id", "run_id")


def _runs(request: Request) -> AssistantRuns:
    runs: AssistantRuns = request.app.state.assistant_runs
    return runs


def _place(request: Request) -> tuple[str, str, str]:
    """Owner, stored thread id, run id."""
    path = request.path_params
    run_id = shown_id(path["run_id"], "run")
    return owner_of(request), thread_hex(path["thread_id"]), run_id


def _max_chars(request: Request) -> int:
    chars: int = request.app.state.settings.max_prompt_chars
    return chars


@router.post(
    "/runs",
    summary="Make a thread and run an assistant on it",
    status_code=201,
    openapi_extra={**takes(ThreadRunCreate), "parameters": [_WAIT]},
)
async def create_thread_and_run(request: Request) -> Response:
    check_query(request)
    body = await read_body(request, ThreadRunCreate)
    runs, owner_id = _runs(request), owner_of(request)
    assistant_id = shown_id(body.assistant_id, "assistant")
    assistant = await runs.assistant(owner_id, assistant_id, None)
    given = body.thread or ThreadCreate()
    thread, run = await runs.start_with_thread(
        owner_id,
        assistant.id,
        run_request(body, assistant),
        body.metadata,
        message_items(given.messages, _max_chars(request), "thread.messages"),
        given.metadata,
        given.tool_resources or body.tool_resources,
    )
    return run_stream(request, run, thread=thread) if body.stream else run_answer(request, run, 201)


@router.post(
    "/{thread_id}/runs",
    summary="Run an assistant on a thread",
    status_code=201,
    openapi_extra={**takes(RunCreate), "parameters": [*_in_path("thread_id"), _WAIT]},
)
async def create_run(request: Request) -> Response:
    """It is carried out in the background; `stream: true` streams it, `Prefer: wait=60` waits."""
    check_query(request)
    thread_id = thread_hex(request.path_params["thread_id"])
    body = await read_body(request, RunCreate)
    runs, owner_id = _runs(request), owner_of(request)
    assistant_id = shown_id(body.assistant_id, "assistant")
    assistant = await runs.assistant(owner_id, assistant_id, thread_id)
    run = await runs.start(
        owner_id,
        thread_id,
        assistant.id,
        run_request(body, assistant),
        body.metadata,
        message_items(body.additional_messages, _max_chars(request), "additional_messages"),
    )
    return run_stream(request, run) if body.stream else run_answer(request, run, 201)


@router.get(
    "/{thread_id}/runs",
    summary="A thread's runs",
    openapi_extra={"parameters": [*_in_path("thread_id"), *PAGE_PARAMETERS]},
)
async def list_runs(request: Request) -> Response:
    thread_id = thread_hex(request.path_params["thread_id"])
    found = await _runs(request).page(owner_of(request), thread_id, Page.of(request))
    return json_answer(list_object(map(run_object, found.rows), found.has_more))


@router.get(
    "/{thread_id}/runs/{run_id}",
    summary="One run, or its stream",
    openapi_extra={
        "parameters": [
            *_RUN,
            {"name": "stream", "in": "query", "schema": {"type": "boolean", "default": False}},
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"}},
            _WAIT,
        ]
    },
)
async def get_run(request: Request) -> Response:
    """`stream=true` joins the run's stream, from its beginning or behind `Last-Event-ID`."""
    check_query(request, ("stream",))
    streamed = request.query_params.get("stream", "false")
    if streamed not in {"true", "false"}:
        raise MalformedRequest("'stream' is 'true' or 'false'.", param="stream")
    run = await _runs(request).get(*_place(request))
    if streamed == "true":
        return run_stream(request, run, last_event_id(request))
    return run_answer(request, run)


@router.post(
    "/{thread_id}/runs/{run_id}",
    summary="Change a run's metadata",
    openapi_extra={**takes(MetadataUpdate), "parameters": _RUN},
)
async def update_run(request: Request) -> Response:
    check_query(request)
    body = await read_body(request, MetadataUpdate)
    refuse_unknown(body)
    return json_answer(run_object(await _runs(request).update(*_place(request), body.given)))


@router.post(
    "/{thread_id}/runs/{run_id}/cancel",
    summary="Stop a run",
    openapi_extra={"parameters": [*_RUN, _WAIT]},
)
async def cancel_run(request: Request) -> Response:
    """What it had said is kept, marked incomplete."""
    check_query(request)
    return run_answer(request, await _runs(request).cancel(*_place(request)))


@router.post(
    "/{thread_id}/runs/{run_id}/submit_tool_outputs",
    summary="Give a run the outputs of its calls",
    openapi_extra={**takes(ToolOutputs), "parameters": [*_RUN, _WAIT]},
)
async def submit_tool_outputs(request: Request) -> Response:
    """All of them in one request."""
    check_query(request)
    body = await read_body(request, ToolOutputs)
    outputs = tool_outputs(body, _max_chars(request))
    run, before = await _runs(request).submit(*_place(request), outputs)
    return run_stream(request, run, before) if body.stream else run_answer(request, run)


@router.get(
    "/{thread_id}/runs/{run_id}/steps",
    summary="A run's steps",
    openapi_extra={"parameters": [*_RUN, *PAGE_PARAMETERS]},
)
async def list_steps(request: Request) -> Response:
    # Clients may ask for what a file search found, which here is nothing.
    page = Page.of(request, "include", "include[]")
    run, found = await _runs(request).steps(*_place(request), page)
    rows = (step_object(step, run) for step in found.rows)
    return json_answer(list_object(rows, found.has_more))


@router.get(
    "/{thread_id}/runs/{run_id}/steps/{step_id}",
    summary="One step of a run",
    openapi_extra={"parameters": [*_RUN, *_in_path("step_id")]},
)
async def get_step(request: Request) -> Response:
    check_query(request, ("include", "include[]"))
    step_id = shown_id(request.path_params["step_id"], "step")
    run, step = await _runs(request).step(*_place(request), step_id)
    return json_answer(step_object(step, run))
