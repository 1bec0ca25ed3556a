"""What the commands have in common: the store of the settings, and benchmarks by id."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from novasystem.benchmarks.local import OWNER, Local, opened
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.stores.query import MOST, Query, check_id
from novasystem.cli.failures import traced
from novasystem.errors import InvalidRequest, NotFound
from novasystem.settings import Settings

__all__ = ["GOING", "find", "with_store"]

T = TypeVar("T")

GOING = frozenset({"queued", "running"})
_LAST = re.compile(r"last(?:-(\d{1,6}))?")
_SHOWN = 5


def with_store(settings: Settings, work: Callable[[Local], Coroutine[Any, Any, T]]) -> T:
    """Do ``work`` with the store and the engines, in an event loop of its own."""

    async def with_local() -> T:
        async with opened(settings) as local:
            return await work(local)

    with traced(settings.log_level):
        return asyncio.run(with_local())


async def find(local: Local, asked: str) -> Benchmark:
    """A benchmark by its id, by the beginning of its id, or as ``last`` and ``last-1``.

    Raises ``NotFound``, or ``InvalidRequest`` where several ids begin like this.
    """
    if last := _LAST.fullmatch(asked):
        query = Query(owner_id=OWNER, limit=1, offset=int(last[1] or 0), archived=None)
        page = await local.store.list(query)
        if not page.benchmarks:
            raise _none(asked, page.total)
        asked = page.benchmarks[0].id
    found = await local.store.get(OWNER, check_id(asked))
    if found is None:
        found = await local.store.get(OWNER, await _beginning(local, asked))
    if found is None:
        raise NotFound("benchmark", asked)
    return found


async def _beginning(local: Local, asked: str) -> str:
    """The id that begins like this; without ``bench_`` in front too."""
    ids: list[str] = []
    offset, total = 0, 1
    while offset < total:
        query = Query(owner_id=OWNER, limit=MOST, offset=offset, archived=None)
        page = await local.store.list(query)
        ids += [one.id for one in page.benchmarks if one.id.startswith((asked, f"bench_{asked}"))]
        offset, total = offset + MOST, page.total
    if len(ids) > 1:
        shown = ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else "")
        raise InvalidRequest(
            f"{len(ids)} benchmarks have an id that begins with '{asked}'.",
            hint=f"Give more of it: {shown}.",
        )
    if not ids:
        error = NotFound("benchmark", asked)
        error.hint = "'nova bench list' shows what is there."
        raise error
    return ids[0]


def _none(asked: str, total: int) -> NotFound:
    error = NotFound("benchmark", asked)
    there = f"There are {total}" if total else "There is none yet"
    error.hint = f"{there}: 'nova bench run' makes one."
    return error
