"""The pages of assistants. Making, changing and running them is ``/v1``'s."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.engine import Connection

from novasystem.assistants import store
from novasystem.assistants.pages import Page
from novasystem.assistants.requests import shown_id, thread_hex
from novasystem.assistants.service import Assistants, found_thread
from novasystem.errors import NotFound
from novasystem.http.owner import owner_of
from novasystem.runs import store as run_store
from novasystem.runs.records import Event, Run, Step
from novasystem.runs.service import Runs
from novasystem.threads import store as thread_store
from novasystem.web.benchmarks_pages import models_now
from novasystem.web.rendering import render, render_block

if TYPE_CHECKING:
    from novasystem.web.view_models.assistants import RunView
    from novasystem.web.view_models.chat import Said

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_ENTRIES = 50
_RUNS = 50
_MESSAGES = 100
_EVENTS = 300
Cursor = Annotated[str | None, Query(max_length=64)]


@router.get("/assistants")
async def assistants_page(request: Request, after: Cursor = None) -> Response:
    """The assistants, and the form of a new one."""
    from novasystem.web.view_models.assistants import AssistantsView

    service: Assistants = request.app.state.assistants
    found = await service.page(owner_of(request), Page(_ENTRIES, after=after))
    default: str = request.app.state.registry.default_model
    view = AssistantsView.of(found.rows, found.has_more, await models_now(request), default)
    return render(request, "assistants.html", view)


@router.get("/assistants/{assistant_id}")
async def assistant_page(request: Request, assistant_id: str, thread: Cursor = None) -> Response:
    """One assistant; ``thread``: where it was tried last."""
    from novasystem.web.view_models.assistants import AssistantsView

    service: Assistants = request.app.state.assistants
    owner_id = owner_of(request)
    here = await service.get(owner_id, shown_id(assistant_id, "assistant"))
    found = await service.page(owner_id, Page(_ENTRIES))
    runs: Runs = request.app.state.runs
    newest = await runs.database.read(store.list_runs, owner_id, here.id, _RUNS)
    said: Sequence[Said] = ()
    active = ""
    if thread:
        said, active = await _said(request, owner_id, thread)
    view = AssistantsView.of(
        found.rows,
        found.has_more,
        await models_now(request),
        here.model,
        here,
        newest,
        thread or "",
        said,
        active,
    )
    return render(request, "assistants.html", view)


@router.get("/assistants/{assistant_id}/tried/{thread}/{run_id}")
async def tried_block(request: Request, assistant_id: str, thread: str, run_id: str) -> Response:
    """The messages of one run, once it has ended."""
    from novasystem.web.view_models.assistants import AssistantsView

    said, _ = await _said(request, owner_of(request), thread)
    view = AssistantsView.of((), False, {}, "", said=[one for one in said if one.run_id == run_id])
    return render_block(request, "assistants.html", "messages", view)


@router.get("/assistants/{assistant_id}/runs")
async def runs_block(request: Request, assistant_id: str) -> Response:
    from novasystem.web.view_models.assistants import AssistantsView

    service: Assistants = request.app.state.assistants
    owner_id = owner_of(request)
    here = await service.get(owner_id, shown_id(assistant_id, "assistant"))
    runs: Runs = request.app.state.runs
    newest = await runs.database.read(store.list_runs, owner_id, here.id, _RUNS)
    view = AssistantsView.of((), False, {}, "", here, newest)
    return render_block(request, "assistants.html", "runs", view)


@router.get("/assistants/{assistant_id}/runs/{run_id}")
async def run_page(request: Request, assistant_id: str, run_id: str) -> Response:
    return render(request, "run.html", await _run(request, assistant_id, run_id))


@router.get("/assistants/{assistant_id}/runs/{run_id}/now")
async def run_block(request: Request, assistant_id: str, run_id: str) -> Response:
    """How far a run has come."""
    return render_block(request, "run.html", "now", await _run(request, assistant_id, run_id))


async def _run(request: Request, assistant_id: str, run_id: str) -> "RunView":
    from novasystem.web.view_models.assistants import RunView

    owner_id = owner_of(request)
    runs: Runs = request.app.state.runs
    run = await runs.get(shown_id(run_id, "run"), owner_id)
    if run.assistant_id != assistant_id:
        raise NotFound("run", run_id, param="run_id")

    def read(connection: Connection) -> tuple[list[Step], list[Event]]:
        steps = run_store.list_steps(connection, run.key, limit=200, ascending=True)
        return steps, run_store.events_after(connection, run.key, 0)

    steps, events = await runs.database.read(read)
    assistant = await runs.database.read(store.find, assistant_id, owner_id)
    return RunView.of(run, assistant, steps, events, _EVENTS)


async def _said(request: Request, owner_id: str, thread: str) -> tuple[Sequence["Said"], str]:
    """What was said in a thread, and the run that holds it now."""
    from novasystem.web.view_models.chat import said

    runs: Runs = request.app.state.runs
    thread_id = thread_hex(thread)

    def read(connection: Connection) -> "tuple[Sequence[Said], str]":
        found = found_thread(connection, thread_id, owner_id)
        items = thread_store.last_items(connection, found.key, _MESSAGES)
        of_thread: list[Run] = run_store.list_runs(
            connection, owner_id=owner_id, thread_key=found.key, limit=_MESSAGES
        )
        shown = said(items, {run.id: run for run in of_thread})
        return shown, found.active_run or ""

    return await runs.database.read(read)
