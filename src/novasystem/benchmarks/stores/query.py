"""What is looked for among stored benchmarks, and the page that is found."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from novasystem.benchmarks.records import Benchmark, BenchmarkStatus
from novasystem.benchmarks.stores.facts import Head, Sort, microseconds, prefixes, words_of
from novasystem.errors import InvalidRequest

__all__ = ["Order", "Page", "Query", "can_be_id", "check_id", "matches", "nothing_after",
           "page_of"]  # fmt: skip

MOST = 1000
"""Benchmarks of one page."""
_SUCCEEDED: frozenset[BenchmarkStatus] = frozenset({"completed"})
_FAILED: frozenset[BenchmarkStatus] = frozenset({"partial", "failed", "cancelled"})

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def can_be_id(benchmark_id: str) -> bool:
    """Letters, digits, ``.``, ``_`` and ``-``, at most 64, the first a letter or digit."""
    return _ID.fullmatch(benchmark_id) is not None


def check_id(benchmark_id: str) -> str:
    """The id, if it can be one; raises ``InvalidRequest``."""
    if not can_be_id(benchmark_id):
        raise InvalidRequest(
            f"'{benchmark_id[:80]}' cannot be the id of a benchmark.",
            hint="An id has letters, digits, '.', '_' and '-', and at most 64 of them.",
            param="id",
        )
    return benchmark_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A page of an owner's benchmarks.

    ``offset`` counts from the first; ``after`` is the id of the last one of the page before: one of
    the two. ``since`` is part of the time asked for, ``until`` is not. ``text``: each word of it
    begins a word of the prompt, or of the plan's name, whatever the case; one of fewer than three
    letters is a whole word of it. It looks at the first 8,192 characters. ``success``: completed
    without any failure, or ended otherwise; ``statuses``: one of these. ``archived``: those that
    are, those that are not, or ``None`` for both.

    The order is strict: what is equal goes by id. Benchmarks without the metric stand at the end,
    whichever way the order goes. ``whole``: with all their parts, as :class:`Page` says.

    Raises ``InvalidRequest`` for what cannot be meant.
    """

    owner_id: str = "local"
    limit: int = 50
    offset: int = 0
    after: str | None = None
    model: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    text: str | None = None
    success: bool | None = None
    statuses: tuple[BenchmarkStatus, ...] = ()
    sort: Sort = "timestamp"
    descending: bool = True
    archived: bool | None = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST:
            raise InvalidRequest(f"limit is from 1 to {MOST}, not {self.limit}.", param="limit")
        if not 0 <= self.offset < 2**53:
            raise InvalidRequest(f"offset is 0 or more, not {self.offset}.", param="offset")
        if self.after is not None:
            check_id(self.after)
            if self.offset:
                msg = "offset and after do not go together."
                raise InvalidRequest(msg, hint="Give one of them.", param="after")
        if self.sort not in get_args(Sort):
            known = ", ".join(get_args(Sort))
            raise InvalidRequest(f"There is no order '{self.sort}': {known}.", param="sort")
        unknown = set(self.statuses) - set(get_args(BenchmarkStatus))
        if unknown:
            known = ", ".join(get_args(BenchmarkStatus))
            said = ", ".join(sorted(unknown))
            raise InvalidRequest(f"There is no status '{said}': {known}.", param="status")
        for name, at in (("since", self.since), ("until", self.until)):
            if at is not None and at.tzinfo is None:
                msg = f"{name} has no time zone."
                raise InvalidRequest(msg, hint="Write 2026-01-31T12:00:00Z.", param=name)
        if self.text is not None and not words_of(self.text):
            msg = "text holds no word that could be looked for."
            raise InvalidRequest(msg, hint="Give letters or digits.", param="text")

    @property
    def wanted_statuses(self) -> frozenset[BenchmarkStatus] | None:
        """``None``: any."""
        wanted = frozenset(self.statuses) if self.statuses else None
        if self.success is not None:
            by_success = _SUCCEEDED if self.success else _FAILED
            wanted = by_success if wanted is None else wanted & by_success
        return wanted

    @property
    def words(self) -> frozenset[str]:
        return frozenset() if self.text is None else words_of(self.text)

    @property
    def times_us(self) -> tuple[int | None, int | None]:
        """From and until, in microseconds since 1970."""
        since = None if self.since is None else microseconds(self.since)
        return since, None if self.until is None else microseconds(self.until)


@dataclass(frozen=True, slots=True)
class Page:
    """``total``: how many there are under the query's filters, on whichever page.

    Without the query's ``whole`` the benchmarks lack their heavy parts: ``plan`` is ``None``, a
    result has no ``metrics`` and no ``checks``' failures, and the prompt and the responses are cut
    after 1,000 characters.
    """

    benchmarks: tuple[Benchmark, ...]
    total: int


def matches(head: Head, query: Query) -> bool:
    """Whether the head is under all of the query's filters."""
    since, until = query.times_us
    statuses = query.wanted_statuses
    return (
        (query.archived is None or head.archived == query.archived)
        and (statuses is None or head.status in statuses)
        and (query.model is None or query.model in head.models)
        and (since is None or head.at_us >= since)
        and (until is None or head.at_us < until)
        and all(_has(head.words, word) for word in query.words)
    )


def _has(words: frozenset[str], word: str) -> bool:
    return word in words or (prefixes(word) and any(one.startswith(word) for one in words))


@dataclass(frozen=True, slots=True)
class Order:
    """A place in the query's order; smaller comes first."""

    missing: bool
    value: float | int
    id: str
    descending: bool

    @classmethod
    def of(cls, benchmark_id: str, value: float | int | None, query: Query) -> "Order":
        return cls(value is None, 0 if value is None else value, benchmark_id, query.descending)

    def __lt__(self, other: "Order") -> bool:
        if self.missing != other.missing:
            return other.missing
        here, there = (self.value, self.id), (other.value, other.id)
        return there < here if self.descending else here < there


def page_of(places: Sequence[Order], query: Query, after: Order | None) -> list[str]:
    """The ids of the page among all the places that are under the query's filters."""
    known = sorted(
        (place for place in places if not place.missing),
        key=lambda place: (place.value, place.id),
        reverse=query.descending,
    )
    missing = sorted(
        (place for place in places if place.missing),
        key=lambda place: place.id,
        reverse=query.descending,
    )
    found = known + missing
    if after is not None:
        found = [place for place in found if after < place]
    return [place.id for place in found[query.offset : query.offset + query.limit]]


def nothing_after(query: Query) -> InvalidRequest:
    """What a store raises where ``query.after`` is not there."""
    return InvalidRequest(
        f"There is no benchmark '{query.after}' that a page could come after.",
        hint="It may have been deleted: begin anew without 'after'.",
        param="after",
    )
