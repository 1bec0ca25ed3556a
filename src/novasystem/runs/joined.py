"""The begin of a run, a batch of its log and its end as one statement each, on PostgreSQL.

What elsewhere is a transaction of six or seven statements is one way there and back like this. All
of it hangs on one link: at the begin on that which takes the thread, if it is free, and later on
that which writes the run's row, if fence, executor, status and the log's end are as they should be.
Where that gives no row, nothing at all is written, and the transaction that says why follows.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.runs import store
from novasystem.runs.records import NewRun, Run, StepStatus
from novasystem.runs.store import Raw
from novasystem.storage.ids import now_ms
from novasystem.storage.notices import TELL_OF_RUN
from novasystem.storage.statements import HELD, RUN, Link, Part, Prepared, chained, inserted
from novasystem.storage.tables import run_events, run_steps, runs, threads

__all__ = ["Change", "Opening", "added_step", "ended_step", "joinable", "keep", "open_run"]

# Once where the run's link gives a row, and never where it gives none.
_THERE = RUN.c.key.is_not(None)
_SAID = sa.table("said", sa.column("key", sa.BigInteger))


@dataclass(frozen=True, slots=True)
class Opening:
    """A run that begins with one item of its thread's.

    ``take`` takes the thread for the run, with a place for one item more, and makes it where it is
    not there: the link ``held``, which gives no row where another run has it. ``say`` adds the
    item to it, and gives its key. ``stored`` is called with the thread's key, the item's position
    and its key once they are written; it must not raise.
    """

    new: NewRun
    take: Part
    say: Part
    stored: Callable[[int, int, int], None]
    at_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A write that can be part of the statement which stores its events.

    ``work`` does it by itself. ``parts`` do nothing where ``run`` has no row; ``rows`` names what
    they write to, because no two parts of one statement may write to the same row. ``adds``: an
    item, to ``held``. ``ends``: the id of the step that it ends. ``opens``: a step that is not
    ended with it.
    """

    work: Callable[[Connection], object]
    parts: Sequence[Part]
    rows: frozenset[str] = field(default_factory=frozenset)
    adds: bool = False
    ends: str | None = None
    opens: bool = False

    def __call__(self, connection: Connection) -> object:
        return self.work(connection)


_ADVANCE = sa.update(runs).where(
    runs.c.key == sa.bindparam("of_key"),
    runs.c.fence == sa.bindparam("of_fence"),
    runs.c.executor == sa.bindparam("of_executor"),
    runs.c.last_seq == sa.bindparam("of_last_seq"),
)
_GO_ON = Prepared(_ADVANCE.returning(runs.c.key))
# One that was cancelled meanwhile ends otherwise.
_STOP = Prepared(
    _ADVANCE.where(runs.c.status == sa.literal_column("'in_progress'")).returning(runs.c.key)
)
_LOG = Prepared(inserted(run_events, ("first_seq", "last_seq", "events"), {"run_key": RUN.c.key}))

_THREAD = sa.update(threads).where(threads.c.key == sa.bindparam("of_key"), _THERE)
_MORE = {"last_position": threads.c.last_position + sa.literal_column("1")}
_OURS = threads.c.active_run == sa.bindparam("of_run")
_GROW = Prepared(_THREAD.values(_MORE).returning(threads.c.key, threads.c.last_position))
_FREE = Prepared(_THREAD.where(_OURS).values(active_run=sa.null()))
_GROW_AND_FREE = Prepared(
    _THREAD.values(
        **_MORE, active_run=sa.case((_OURS, sa.null()), else_=threads.c.active_run)
    ).returning(threads.c.key, threads.c.last_position)
)
# Of a call nobody knows whether it had its effect.
_END_STEPS = Prepared(
    sa.update(run_steps)
    .where(
        run_steps.c.run_key == RUN.c.key,
        run_steps.c.status == sa.literal_column("'in_progress'"),
        run_steps.c.id != sa.bindparam("of_other"),
    )
    .values(
        status=sa.case(
            (
                run_steps.c.type == sa.literal_column(f"'{store.CALL}'"),
                sa.literal_column("'unknown'"),
            ),
            else_=sa.bindparam("end", type_=sa.String),
        ),
        ended_at=sa.bindparam("at"),
    )
)
_END_STEP = Prepared(sa.update(run_steps).where(run_steps.c.id == sa.bindparam("of_id"), _THERE))
_OPENED = Prepared(
    sa.select(RUN.c.key, HELD.c.key, HELD.c.last_position, _SAID.c.key).select_from(
        RUN.join(HELD, sa.true()).join(_SAID, sa.true())
    )
)


@functools.cache
def _added(table: sa.Table, names: tuple[str, ...], link: str, column: str) -> Prepared:
    given = {column: (RUN if link == "run" else HELD).c.key}
    return Prepared(inserted(table, names, given).returning(table.c.key))


def _adding(table: sa.Table, values: Mapping[str, Any], link: str, column: str) -> Part:
    """A row for that of the link, whose key is in ``column``; what is ``None`` is left out."""
    said = {name: value for name, value in values.items() if value is not None and name != column}
    return _added(table, tuple(said), link, column), said


def open_run(
    connection: Connection, opening: Opening, lane: str, executor: str, events: Sequence[Raw]
) -> Run | None:
    """A run that ``executor`` carries out, its item, and ``events`` as the first of its log.

    ``None``, and nothing is stored, where another run holds the thread.
    """
    new = replace(opening.new, lane=lane)
    values = store.row(new, opening.at_ms, executor, len(events))
    found = chained(
        connection,
        [
            ("held", *opening.take),
            ("run", *_adding(runs, values, "held", "thread_key")),
            ("said", *opening.say),
            ("log", _LOG, store.batch(1, events)),
            ("", _OPENED, {}),
        ],
    ).rows
    if not found:
        return None
    [(run_key, thread_key, position, item_key)] = found
    opening.stored(thread_key, position, item_key)
    return store.new_run(run_key, {**values, "thread_key": thread_key}, new.thread_id)


def joinable(writes: Sequence[object]) -> list[Change] | None:
    """``writes``, where they and what stores their events can be one statement; or ``None``."""
    changes = [write for write in writes if isinstance(write, Change)]
    rows = [row for change in changes for row in change.rows]
    if (
        len(changes) < len(writes)
        or len(set(rows)) < len(rows)
        or sum(change.adds for change in changes) > 1
        or sum(change.ends is not None for change in changes) > 1
    ):
        return None
    return changes


def keep(
    connection: Connection,
    run: Run,
    known: int,
    events: Sequence[Raw],
    changes: Sequence[Change],
    *,
    steps: StepStatus | None = None,
    at_ms: int = 0,
    **ending: Any,
) -> bool:
    """Store events that follow the one numbered ``known``, and what they changed.

    With ``ending`` the run stops with these values; ``steps``: what becomes of those that are open,
    where it has ended and its thread is free for the next one. ``False``, and nothing is stored,
    where the lease is another's, the log does not end with ``known``, or the run is to stop and is
    not ``in_progress`` any more.
    """
    lease = {"of_key": run.key, "of_fence": run.fence, "of_executor": run.executor}
    row = {**lease, "of_last_seq": known, "last_seq": known + len(events), **ending}
    links: list[Link] = [("run", _STOP if ending else _GO_ON, row)]
    words = [f"events {run.id}"]
    if run.thread_key is not None:
        adds, frees = any(change.adds for change in changes), steps is not None
        thread: dict[str, Any] = {"of_key": run.thread_key, "updated_at": at_ms or now_ms()}
        if frees:
            thread["of_run"] = run.id
            words.append(f"thread {run.thread_key}")
        if adds or frees:
            change = (_GROW_AND_FREE if frees else _GROW) if adds else _FREE
            links.append(("held", change, thread))
    parts = [part for change in changes for part in change.parts]
    links += [(f"part_{number}", *part) for number, part in enumerate(parts)]
    if steps is not None:
        ended = next((change.ends for change in changes if change.ends is not None), "")
        links.append(("steps", _END_STEPS, {"of_other": ended, "end": steps, "at": at_ms}))
    links.append(("log", _LOG, store.batch(known + 1, events)))
    links.append(("", TELL_OF_RUN, {"payload": "\n".join(words)}))
    return bool(chained(connection, links).rows)


def added_step(values: Mapping[str, Any]) -> Part:
    """A step of the run's."""
    return _adding(run_steps, values, "run", "run_key")


def ended_step(step_id: str, **values: Any) -> Part:
    return _END_STEP, {"of_id": step_id, **values}
