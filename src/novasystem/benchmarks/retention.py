"""What is kept for how long: benchmarks are archived, or deleted for good, by age and by count."""

import asyncio
import dataclasses
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from novasystem.benchmarks.logs import remove
from novasystem.benchmarks.records import BenchmarkStatus
from novasystem.benchmarks.stores.protocol import BenchmarkStore
from novasystem.benchmarks.stores.query import MOST, Query
from novasystem.errors import InvalidRequest

__all__ = ["Retained", "archive", "prune", "restore"]

_ENDED: tuple[BenchmarkStatus, ...] = tuple(
    status for status in get_args(BenchmarkStatus) if status not in {"queued", "running"}
)


@dataclass(frozen=True, slots=True)
class Retained:
    """``ids``: what was archived or deleted, newest first; or would be, in a dry run. ``left``: how
    many that have ended remain of those that were looked at."""

    ids: tuple[str, ...]
    left: int
    dry_run: bool


async def archive(
    store: BenchmarkStore,
    *,
    owner_id: str = "local",
    before: datetime.datetime | None = None,
    keep: int | None = None,
    dry_run: bool = False,
) -> Retained:
    """Take benchmarks out of the history without deleting them.

    Those that are older than ``before``, and those beyond the newest ``keep``: one of the two is
    enough. What has not ended is left alone. Raises ``InvalidRequest`` where neither is given, or
    one is none.
    """
    asked = Query(owner_id=owner_id, archived=False, statuses=_ENDED, limit=MOST)
    ids, total = await _chosen(store, asked, before, keep)
    done = ids if dry_run else [one for one in ids if await _archived(store, owner_id, one, True)]
    return Retained(tuple(done), total - len(done), dry_run)


async def prune(
    store: BenchmarkStore,
    *,
    logs: Path,
    owner_id: str = "local",
    before: datetime.datetime | None = None,
    keep: int | None = None,
    archived: bool | None = None,
    dry_run: bool = False,
) -> Retained:
    """Delete benchmarks and their samples for good; chosen as :func:`archive` does.

    ``logs``: the folder of their logs and of what the machine did, which go too. ``archived``: only
    those that are, only those that are not, or both.
    """
    asked = Query(owner_id=owner_id, archived=archived, statuses=_ENDED, limit=MOST)
    ids, total = await _chosen(store, asked, before, keep)
    if dry_run:
        return Retained(tuple(ids), total - len(ids), dry_run)
    done = []
    for one in ids:
        if await store.delete(owner_id, one):
            await asyncio.to_thread(remove, logs, one)
            done.append(one)
    return Retained(tuple(done), total - len(done), dry_run)


async def restore(store: BenchmarkStore, owner_id: str, benchmark_id: str) -> bool:
    """Bring one back into the history; whether it is there."""
    return await _archived(store, owner_id, benchmark_id, False)


async def _archived(
    store: BenchmarkStore, owner_id: str, benchmark_id: str, archived: bool
) -> bool:
    found = await store.get(owner_id, benchmark_id)
    if found is None:
        return False
    if found.archived != archived:
        await store.put(found.model_copy(update={"archived": archived}))
    return True


async def _chosen(
    store: BenchmarkStore, asked: Query, before: datetime.datetime | None, keep: int | None
) -> tuple[list[str], int]:
    """The ids, and how many were looked at. All are found before any is changed: what is taken
    away moves the pages."""
    if before is None and keep is None:
        raise InvalidRequest(
            "Nothing says which benchmarks are meant.", hint="Give an age, a count, or both."
        )
    if keep is not None and keep < 0:
        raise InvalidRequest(f"The count is 0 or more, not {keep}.", param="keep")
    total = (await store.list(_with(asked, limit=1))).total
    found: dict[str, datetime.datetime] = {}
    if before is not None:
        found |= await _all(store, _with(asked, until=before))
    if keep is not None:
        found |= await _all(store, _with(asked, offset=keep))
    newest_first = sorted(found, key=lambda one: (found[one], one), reverse=True)
    return newest_first, total


async def _all(store: BenchmarkStore, asked: Query) -> dict[str, datetime.datetime]:
    """By offset: a page from which a damaged record was left out is not the last one."""
    found: dict[str, datetime.datetime] = {}
    offset, total = asked.offset, asked.offset + 1
    while offset < total:
        page = await store.list(_with(asked, offset=offset))
        found |= {one.id: one.timestamp for one in page.benchmarks}
        offset, total = offset + asked.limit, page.total
    return found


def _with(asked: Query, **given: Any) -> Query:
    return dataclasses.replace(asked, **given)
