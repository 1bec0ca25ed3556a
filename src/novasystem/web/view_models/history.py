"""History: filters, one page of benchmarks, and each model over time."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args
from urllib.parse import urlencode

from novasystem.benchmarks.over_history import ModelHistory, Spread
from novasystem.benchmarks.records import Benchmark, BenchmarkStatus
from novasystem.benchmarks.reports.words import line, rate, seconds
from novasystem.benchmarks.stores import Page
from novasystem.benchmarks.stores import Query as Asked
from novasystem.benchmarks.stores.facts import Sort
from novasystem.errors import InvalidRequest
from novasystem.web.view_models.benchmarks import Entry, entry

__all__ = ["OUTCOMES", "PAGE", "Filters", "HistoryView", "SummaryView"]

PAGE = 25
OUTCOMES = {
    "": "Any outcome",
    "good": "Completed without a failure",
    "bad": "Failed, cancelled or in part",
    "running": "Still going on",
}
_GOING: tuple[BenchmarkStatus, ...] = ("queued", "running")
_HEADS: tuple[tuple[str, Sort | None], ...] = (
    ("When", "timestamp"),
    ("Benchmark", None),
    ("Mode", None),
    ("Outcome", None),
    ("TTFT", "ttft_s"),
    ("Tokens/s", "tokens_per_s"),
    ("Total", "total_s"),
)


@dataclass(frozen=True, slots=True)
class Filters:
    """As they were asked for; ``since`` and ``until`` are days, of which the second is part.

    ``zone``: minutes that UTC is ahead of the reader's clock, as browsers have it.
    """

    model: str = ""
    text: str = ""
    since: str = ""
    until: str = ""
    outcome: str = ""
    sort: str = "timestamp"
    order: str = "desc"
    zone: int = 0
    page: int = 1

    def asked(self, owner_id: str) -> Asked:
        """Raises ``InvalidRequest`` for what cannot be meant."""
        if self.sort not in get_args(Sort):
            raise InvalidRequest(f"There is no order '{self.sort[:40]}'.", param="sort")
        if self.outcome not in OUTCOMES:
            raise InvalidRequest(f"There is no outcome '{self.outcome[:40]}'.", param="outcome")
        sort: Sort = next(one for one in get_args(Sort) if one == self.sort)
        until = self._day(self.until, "until")
        return Asked(
            owner_id=owner_id,
            limit=PAGE,
            offset=(self.page - 1) * PAGE,
            model=self.model or None,
            text=self.text.strip() or None,
            since=self._day(self.since, "since"),
            until=None if until is None else until + datetime.timedelta(days=1),
            success={"good": True, "bad": False}.get(self.outcome),
            statuses=_GOING if self.outcome == "running" else (),
            sort=sort,
            descending=self.order != "asc",
        )

    def _day(self, text: str, name: str) -> datetime.datetime | None:
        """The beginning of a day on the reader's clock."""
        if not text:
            return None
        try:
            day = datetime.date.fromisoformat(text)
            begin = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
            return begin + datetime.timedelta(minutes=self.zone)
        except (ValueError, OverflowError):
            raise InvalidRequest(
                f"'{text[:40]}' is not a day.", hint="Write 2026-01-31.", param=name
            ) from None

    @property
    def narrowed(self) -> bool:
        return any((self.model, self.text, self.since, self.until, self.outcome))

    def link(self, **changed: object) -> str:
        """The page's address with these filters, and with ``changed`` ones."""
        given = {
            name: getattr(self, name) for name in self.__slots__ if name not in {"sort", "order"}
        }
        given |= {"sort": self.sort, "order": self.order, **changed}
        plain = {"page": 1, "sort": "timestamp", "order": "desc", "zone": 0}
        kept = {k: v for k, v in given.items() if v and v != plain.get(k)}
        return f"/history?{urlencode(kept)}" if kept else "/history"


@dataclass(frozen=True, slots=True)
class Head:
    """``link``: where it sorts; ``aria``: how the page is sorted by it now."""

    label: str
    link: str
    aria: str
    arrow: str
    number: bool


@dataclass(frozen=True, slots=True)
class HistoryView:
    filters: Filters
    outcomes: Mapping[str, str]
    models: tuple[str, ...]
    heads: tuple[Head, ...]
    entries: tuple[Entry, ...]
    total: int
    counted: str
    newer: str
    older: str
    problem: str

    @classmethod
    def of(
        cls,
        filters: Filters,
        page: Page | None,
        models: Iterable[str],
        problem: str = "",
    ) -> "HistoryView":
        rows: tuple[Benchmark, ...] = () if page is None else page.benchmarks
        total = 0 if page is None else page.total
        first = (filters.page - 1) * PAGE + 1
        last = first + len(rows) - 1
        pages = max(1, -(-total // PAGE))
        counted = f"{first:,} to {last:,} of {total:,}, page {filters.page:,} of {pages:,}"
        return cls(
            filters=filters,
            outcomes=OUTCOMES,
            models=tuple(sorted({*models, filters.model} - {""})),
            heads=tuple(_head(filters, label, sort) for label, sort in _HEADS),
            entries=tuple(map(entry, rows)),
            total=total,
            counted=counted if rows else "",
            newer=filters.link(page=min(pages, filters.page - 1)) if filters.page > 1 else "",
            older=filters.link(page=filters.page + 1) if last < total and rows else "",
            problem=problem,
        )


def _head(filters: Filters, label: str, sort: Sort | None) -> Head:
    if sort is None:
        return Head(label, "", "", "", number=False)
    here = filters.sort == sort
    # A second press turns the order; times are best short, so they begin with the shortest.
    first = "asc" if sort in {"ttft_s", "total_s"} else "desc"
    order = {"asc": "desc", "desc": "asc"}[filters.order] if here else first
    aria = {"asc": "ascending", "desc": "descending"}[filters.order] if here else ""
    arrow = {"asc": "↑", "desc": "↓"}[filters.order] if here else ""
    link = filters.link(sort=sort, order=order, page=1)
    return Head(label, link, aria, arrow, number=sort != "timestamp")


@dataclass(frozen=True, slots=True)
class SummaryView:
    """A row for each model and metric: least, mean, median, p95, most."""

    benchmarks: int
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, found: Iterable[ModelHistory], benchmarks: int) -> "SummaryView":
        rows = []
        for one in found:
            name = line(one.model, 60)
            counts = f"{one.succeeded} of {one.benchmarks}"
            for label, spread, show in (
                ("TTFT", one.ttft_s, seconds),
                ("Tokens/s", one.tokens_per_s, rate),
                ("Total", one.total_s, seconds),
            ):
                if spread is not None:
                    rows.append((name, counts, label, *_shown(spread, show)))
        return cls(benchmarks, tuple(rows))


def _shown(spread: Spread, show: object) -> tuple[str, ...]:
    assert callable(show)
    values = (spread.min, spread.mean, spread.median, spread.p95, spread.max)
    return tuple(str(show(value)) for value in values)
