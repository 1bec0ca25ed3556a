"""The pages of asks, and of what is remembered. Asking and erasing are ``/api/nova``'s."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response

from novasystem.http.owner import owner_of
from novasystem.nova.memory import Memory, Recalled, Remembered
from novasystem.nova.schemas import session_uuid
from novasystem.nova.service import Nova
from novasystem.runs.records import Run
from novasystem.runs.state import ENDED
from novasystem.threads.records import Item
from novasystem.web.benchmarks_pages import models_now
from novasystem.web.rendering import render, render_block

if TYPE_CHECKING:
    from novasystem.web.view_models.ask import AskView

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_ENTRIES = 30
_ASKS = 20
_ROWS = 50
Cursor = Annotated[str | None, Query(max_length=64)]


@router.get("/ask")
async def ask_page(request: Request) -> Response:
    """A session that has not begun."""
    from novasystem.web.view_models.ask import AskPage

    nova: Nova = request.app.state.nova
    found, more = await nova.sessions(owner_of(request), limit=_ENTRIES, after=None)
    default: str = request.app.state.registry.default_model
    view = AskPage.of(found, more, await models_now(request), default)
    return render(request, "ask.html", view)


@router.get("/ask/list")
async def sessions_block(request: Request, after: Cursor = None, here: Cursor = None) -> Response:
    """The sessions at the left, or the further ones behind ``after``."""
    from novasystem.web.view_models.ask import AskPage, entries_of

    nova: Nova = request.app.state.nova
    cursor = session_uuid(after) if after else None
    found, more = await nova.sessions(owner_of(request), limit=_ENTRIES, after=cursor)
    view = AskPage.of(found, more, {}, "")
    marked = entries_of(found, here or "")
    shown = AskPage(marked, view.more_after, here or "", "", (), 0, "", "", (), "")
    return render_block(request, "ask.html", "entries", shown)


@router.get("/ask/memory")
async def memory_page(
    request: Request,
    query: Annotated[str, Query(max_length=2_000)] = "",
    after: Cursor = None,
) -> Response:
    """What is remembered, newest first; or what would be found for ``query``."""
    from novasystem.web.view_models.memory import MemoryPage

    memory: Memory = request.app.state.memory
    owner_id = owner_of(request)
    found: Sequence[Remembered | Recalled]
    more_after = ""
    if query.strip():
        found = await memory.recall(owner_id, query, limit=_ROWS)
    else:
        found = await memory.listed(owner_id, limit=_ROWS + 1, after=after)
        if len(found) > _ROWS:
            found = found[:_ROWS]
            more_after = found[-1].item_id
    return render(request, "memory.html", MemoryPage.of(found, query.strip(), more_after))


@router.get("/ask/{session_id}")
async def session_page(request: Request, session_id: str) -> Response:
    from novasystem.web.view_models.ask import AskPage

    nova: Nova = request.app.state.nova
    owner_id = owner_of(request)
    session, items, runs = await nova.session(owner_id, session_uuid(session_id))
    questions = _questions(items)
    ended = [run for run in runs if run.status in ENDED]
    asks = [await _ask(nova, run, questions) for run in ended[-_ASKS:]]
    active = next(
        ((r.id, questions.get(r.id, "")) for r in runs if r.status not in ENDED), ("", "")
    )
    found, more = await nova.sessions(owner_id, limit=_ENTRIES, after=None)
    default: str = request.app.state.registry.default_model
    model = str(runs[-1].request["model"]) if runs else default
    view = AskPage.of(
        found,
        more,
        await models_now(request),
        model,
        session,
        asks,
        max(0, len(ended) - _ASKS),
        active,
    )
    return render(request, "ask.html", view)


@router.get("/ask/{session_id}/turn/{run_id}")
async def turn_block(request: Request, session_id: str, run_id: str) -> Response:
    """One ask, once it has ended."""
    from novasystem.web.view_models.ask import AskPage

    nova: Nova = request.app.state.nova
    owner_id = owner_of(request)
    run = await nova.get(owner_id, run_id)
    _, items, _ = await nova.session(owner_id, session_uuid(session_id))
    shown = await _ask(nova, run, _questions(items))
    view = AskPage((), "", session_id, "", (shown,), 0, "", "", (), "")
    return render_block(request, "ask.html", "asks", view)


async def _ask(nova: Nova, run: Run, questions: dict[str, str]) -> "AskView":
    from novasystem.web.view_models.ask import asked

    return asked(run, questions.get(run.id, ""), await nova.progress(run))


def _questions(items: Sequence[Item]) -> dict[str, str]:
    """What was asked, by the run that it began."""
    return {item.run_id: item.content for item in items if item.role == "user" and item.run_id}
