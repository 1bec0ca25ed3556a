"""Pages of history as bytes, kept for as long as nothing of the owner's changes."""

from collections import OrderedDict
from dataclasses import dataclass

import orjson

from novasystem.benchmarks.encode import shown
from novasystem.benchmarks.service import Benchmarks
from novasystem.benchmarks.stores import Query

__all__ = ["History", "HistoryPage"]

_MOST = 256


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """``body``: a JSON array. ``version``: of the store when it was read; ``last_id``: of the
    page's last benchmark."""

    body: bytes
    total: int
    count: int
    last_id: str | None
    version: str


class History:
    """A page is read from the store where its version is not the one of the page that is known:
    whoever changed it, in whatever process, no answer is stale."""

    def __init__(self, benchmarks: Benchmarks) -> None:
        self._benchmarks = benchmarks
        self._pages: OrderedDict[Query, HistoryPage] = OrderedDict()

    async def page(self, query: Query) -> HistoryPage:
        store = self._benchmarks.store
        version = await store.version(query.owner_id)
        known = self._pages.get(query)
        if known is not None and known.version == version:
            self._pages.move_to_end(query)
            return known
        # The version was read before: a change meanwhile makes this page one that is read again.
        found = await self._benchmarks.list(query)
        rows = found.benchmarks
        page = HistoryPage(
            orjson.dumps([shown(one) for one in rows]),
            found.total,
            len(rows),
            rows[-1].id if rows else None,
            version,
        )
        self._pages[query] = page
        while len(self._pages) > _MOST:
            self._pages.popitem(last=False)
        return page
