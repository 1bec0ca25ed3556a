"""An owner's sets of numbers as the database has them: what filters say yes or no to is cut out
of these, see :mod:`~novasystem.benchmarks.stores.bitmaps`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.benchmarks.stores.bitmaps import CHUNK, unpack_bits
from novasystem.benchmarks.stores.facts import Metric, model_term, prefixes
from novasystem.benchmarks.stores.query import Query
from novasystem.benchmarks.stores.times import covering
from novasystem.storage.tables import benchmark_terms, benchmarks

__all__ = ["Sets"]

_LAST_LETTER = "\U0010ffff"
_columns = benchmarks.c
_terms = benchmark_terms.c
_mine = sa.select(_terms.term, _terms.chunk, _terms.bits).where(
    _terms.owner_id == sa.bindparam("owner")
)
# Made once, as to put a statement together takes longer than to carry it out.
_TERMS = _mine.where(_terms.term.in_(sa.bindparam("terms", expanding=True)))
_is_owners = _columns.owner_id == sa.bindparam("owner")
_ENDS = sa.select(
    *(
        sa.select(end(_columns.at_us)).where(_is_owners).scalar_subquery()
        for end in (sa.func.min, sa.func.max)
    )
)
_NUMBERS = sa.select(_columns.number).where(
    _is_owners, _columns.at_us >= sa.bindparam("since"), _columns.at_us < sa.bindparam("until")
)
_BEGINNING = _mine.where(_terms.term >= sa.bindparam("start"), _terms.term < sa.bindparam("end"))


class Sets:
    """The owner's sets of numbers, each read once."""

    def __init__(self, connection: Connection, owner_id: str) -> None:
        self._connection = connection
        self._owner_id = owner_id
        self._known: dict[str, int] = {}

    def under(self, query: Query) -> int:
        """Those under all filters."""
        wanted = query.wanted_statuses
        archived = ["a:0", "a:1"] if query.archived is None else [f"a:{int(query.archived)}"]
        statuses = [] if wanted is None else [f"s:{status}" for status in wanted]
        models = [] if query.model is None else [model_term(query.model)]
        words = [word for word in query.words if not prefixes(word)]
        self._read({"a:0", "a:1", *archived, *statuses, *models, *(f"w:{word}" for word in words)})
        bits = self._any(archived)
        if wanted is not None:
            bits &= self._any(statuses)
        for term in [*models, *(f"w:{word}" for word in words)]:
            bits &= self._known[term]
        for word in query.words:
            if prefixes(word) and bits:
                bits &= self._beginning(f"w:{word}")
        if bits and query.times_us != (None, None):
            bits &= self._within(*query.times_us)
        return bits

    def everything(self) -> int:
        return self._any(["a:0", "a:1"])

    def having(self, metric: Metric) -> int:
        self._read({f"h:{metric}"})
        return self._known[f"h:{metric}"]

    def _any(self, terms: Sequence[str]) -> int:
        bits = 0
        for term in terms:
            bits |= self._known[term]
        return bits

    def _read(self, terms: set[str]) -> None:
        new = terms - self._known.keys()
        if not new:
            return
        self._known |= dict.fromkeys(new, 0)
        for term, chunk, bits in self._rows(_TERMS, {"terms": list(new)}):
            self._known[term] |= unpack_bits(bits) << (chunk * CHUNK)

    def _beginning(self, start: str) -> int:
        return self._all(_BEGINNING, {"start": start, "end": start + _LAST_LETTER})

    def _within(self, since: int | None, until: int | None) -> int:
        """Those within a time, of which at least one end is given."""
        first, last = self._connection.execute(_ENDS, {"owner": self._owner_id}).one()
        if first is None:
            return 0
        begin = first if since is None else max(since, first)
        end = last + 1 if until is None else min(until, last + 1)
        if (begin, end) == (first, last + 1):
            return self.everything()
        terms, spans = covering(begin, end)
        bits = self._all(_TERMS, {"terms": terms}) if terms else 0
        for span in spans:
            given = {"owner": self._owner_id, "since": span[0], "until": span[1]}
            for number in self._connection.scalars(_NUMBERS, given):
                bits |= 1 << number
        return bits

    def _all(self, asked: "sa.Select[Any]", given: Mapping[str, Any]) -> int:
        """Whatever is in one of the sets; many of them are put together chunk by chunk."""
        by_chunk: dict[int, int] = {}
        for _, chunk, bits in self._rows(asked, given):
            by_chunk[chunk] = by_chunk.get(chunk, 0) | unpack_bits(bits)
        return sum(bits << (chunk * CHUNK) for chunk, bits in by_chunk.items())

    def _rows(
        self, asked: "sa.Select[Any]", given: Mapping[str, Any]
    ) -> Iterable[tuple[str, int, bytes]]:
        found = self._connection.execute(asked, {"owner": self._owner_id, **given})
        return ((row.term, row.chunk, row.bits) for row in found)
