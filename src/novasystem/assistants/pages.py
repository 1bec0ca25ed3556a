"""Lists: what a request says of its page, and the page out of one row more than it shows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import Request

from novasystem.errors import InvalidRequest, MalformedRequest, UnsupportedParameter

__all__ = ["PAGE_PARAMETERS", "Page", "Paging", "check_query"]

T = TypeVar("T")
_NAMES = ("limit", "order", "after", "before")
_MAX_LIMIT = 100
PAGE_PARAMETERS = [
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": _MAX_LIMIT, "default": 20},
    },
    {
        "name": "order",
        "in": "query",
        "schema": {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    },
    {"name": "after", "in": "query", "schema": {"type": "string"}},
    {"name": "before", "in": "query", "schema": {"type": "string"}},
]


def check_query(request: Request, known: Collection[str] = ()) -> None:
    """Raise for a query parameter that would be dropped."""
    for name in request.query_params:
        if name not in known:
            raise UnsupportedParameter(name[:80], "there is no such parameter")


@dataclass(frozen=True, slots=True)
class Page:
    """``after`` and ``before`` are ids, in the order that is shown."""

    limit: int = 20
    ascending: bool = False
    after: str | None = None
    before: str | None = None

    @classmethod
    def of(cls, request: Request, *more: str) -> "Page":
        """Raises ``MalformedRequest`` for what is no page, by name for an unknown parameter."""
        check_query(request, (*_NAMES, *more))
        query = request.query_params
        limit, order = query.get("limit", "20"), query.get("order", "desc")
        small = limit.isascii() and limit.isdigit() and len(limit) < 9
        if not small or not 1 <= int(limit) <= _MAX_LIMIT:
            msg = f"'limit' is a number from 1 to {_MAX_LIMIT}."
            raise MalformedRequest(msg, param="limit")
        if order not in {"asc", "desc"}:
            raise MalformedRequest("'order' is 'asc' or 'desc'.", param="order")
        after, before = query.get("after") or None, query.get("before") or None
        return cls(int(limit), order == "asc", after, before)

    def read(
        self, listed: Callable[..., Sequence[T]], known: Callable[[str], object | None]
    ) -> "Paging[T]":
        """The page out of ``listed``, one of the stores' list functions.

        ``known`` finds the row of an id in the same list; raises ``InvalidRequest`` for a cursor
        that is not in it: a list that began anew without a word would be read twice.
        """
        for name, cursor in (("after", self.after), ("before", self.before)):
            if cursor is not None and ("\0" in cursor or known(cursor) is None):
                raise InvalidRequest(
                    f"'{name}': nothing in this list has the id '{cursor[:80]}'.",
                    hint="It may have been deleted: begin the list again.",
                    param=name,
                )
        rows = list(
            listed(
                limit=self.limit + 1,
                ascending=self.ascending,
                after=self.after,
                before=self.before,
            )
        )
        more = len(rows) > self.limit
        if more:
            # With `before` alone the page ends there, and the row too many is its first.
            rows.pop(0 if self.before is not None and self.after is None else -1)
        return Paging(rows, more)


@dataclass(frozen=True, slots=True)
class Paging(Generic[T]):
    rows: list[T]
    has_more: bool
