"""A turn's generation, asked for while the turn is still being stored.

Storing a turn takes a millisecond or two, and the first token should not wait for it. So the engine
is asked at once, with the thread as it is then; nothing of its answer is read before the turn is
stored, and where the thread has changed in between, the answer is thrown away unread.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest, Sampling, TimeLimits
from novasystem.errors import ContextLengthExceeded
from novasystem.storage.database import Database, one_statement
from novasystem.storage.ids import now_ms
from novasystem.threads import store
from novasystem.threads.records import Item
from novasystem.turns.asking import Accepted, accepted
from novasystem.turns.fitting import estimate, fit
from novasystem.turns.window import Room, room, surely_fit

__all__ = ["HeadStarts"]


@dataclass(slots=True)
class _HeadStart:
    """``position``: where in its thread the message was expected to be stored."""

    task: "asyncio.Task[Accepted]"
    position: int
    stored: Item | None = None


class HeadStarts:
    """Those under way, each under the id of its run, until it is taken or dropped."""

    def __init__(self, database: Database, registry: Registry, limits: TimeLimits) -> None:
        self._database = database
        self._registry = registry
        self._limits = limits
        self._begun: dict[str, _HeadStart] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def begin(
        self,
        run_id: str,
        owner_id: str,
        thread_id: str,
        message: str,
        model: str,
        *,
        new: bool,
        system: str | None = None,
        sampling: Sampling | None = None,
        still: Callable[[], bool] = lambda: True,
    ) -> None:
        """Ask the engine, without waiting for its answer. ``new``: nobody can know the thread yet,
        so that it is empty. ``still``: whether the turn would begin now; others may have come
        while the thread was read. Raises ``ContextLengthExceeded`` where ``system`` leaves no room.

        The thread is read before the turn is written and not meanwhile: two threads of Python
        would wait for each other, and the engine for both.
        """
        drawn = sampling or Sampling()
        into = await room(
            self._registry, model, instructions=system, answer_tokens=drawn.max_tokens
        )
        items, last = list[Item](), 0
        if not new:
            found = await self._database.read(_thread, owner_id, thread_id, into)
            if found is None:
                return
            items, last = found
        items.append(_message(message, last + 1))
        if len(items) > into.items or not surely_fit(items, into):
            # What is to be left out has to be written down, which the turn itself does.
            return
        if not still():
            return
        request = GenerateRequest(model, (), sampling=drawn, limits=self._limits)
        asking = asyncio.create_task(accepted(self._registry, request, fit(items), system))
        self._begun[run_id] = _HeadStart(asking, last + 1)

    def stored(self, run_id: str, item: Item) -> None:
        """The message was stored like this, in a transaction that is about to be committed."""
        begun = self._begun.get(run_id)
        if begun is not None:
            begun.stored = item

    async def take(self, run_id: str) -> Accepted | None:
        """What the engine answers, where that still stands; whoever takes it closes it.

        Raises what kept the engine from answering.
        """
        begun = self._begun.get(run_id)
        if begun is None:
            return None
        try:
            found = await asyncio.shield(begun.task)
        except ContextLengthExceeded:
            self._begun.pop(run_id, None)
            return None
        except BaseException:
            self.drop(run_id)
            raise
        stored = begun.stored
        if stored is None or stored.position != begun.position:
            self.drop(run_id)
            return None
        self._begun.pop(run_id, None)
        items = (*found.shown.items[:-1], stored)
        return replace(found, shown=replace(found.shown, items=items))

    def drop(self, run_id: str) -> None:
        """Nobody will take it: the engine stops, if it was asked at all."""
        begun = self._begun.pop(run_id, None)
        if begun is not None:
            closing = asyncio.create_task(_close(begun))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


async def _close(begun: _HeadStart) -> None:
    begun.task.cancel()
    [found] = await asyncio.gather(begun.task, return_exceptions=True)
    if isinstance(found, Accepted):
        await found.events.aclose()


@one_statement
def _thread(
    connection: Connection, owner_id: str, thread_id: str, into: Room
) -> tuple[list[Item], int] | None:
    """The thread's newest items and its last position; ``None`` while a run holds it."""
    return store.newest_unheld(connection, thread_id, owner_id, into.items)


def _message(text: str, position: int) -> Item:
    """The message as it is going to be stored, in all that matters to an engine."""
    now = now_ms()
    return Item(
        key=0,
        id="",
        thread_key=0,
        position=position,
        kind="message",
        role="user",
        content=text,
        status="completed",
        incomplete_reason=None,
        created_at=now,
        completed_at=now,
        incomplete_at=None,
        token_count=estimate(text),
        token_count_exact=False,
        run_id=None,
        assistant_id=None,
        call_id=None,
        name=None,
        attachments=None,
        metadata={},
    )
