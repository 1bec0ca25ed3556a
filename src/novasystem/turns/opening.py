"""How a turn begins: its run, and the message of the user's that it answers."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from novasystem.runs.joined import Opening
from novasystem.runs.records import NewRun, Run
from novasystem.runs.store import Raw
from novasystem.storage.ids import now_ms
from novasystem.threads import store
from novasystem.threads.records import Item, NewItem
from novasystem.turns.fitting import estimate

__all__ = ["Said"]


class Said:
    """A message that begins a turn on an owner's thread, which is made where it is not there.

    ``stored`` is called with the message once it is written, perhaps before that is committed; it
    must not raise. The methods are what ``Runs.start`` takes.
    """

    def __init__(
        self,
        kind: str,
        owner_id: str,
        thread_id: str,
        message: str,
        request: Mapping[str, Any],
        *,
        run_id: str,
        stored: Callable[[Item], None] = lambda _item: None,
    ) -> None:
        self._new = NewRun(kind, owner_id, request, thread_id=thread_id, id=run_id)
        self._item = NewItem(
            "message", message, role="user", run_id=run_id, token_count=estimate(message)
        )
        self._stored = stored

    def new(self, connection: Connection) -> NewRun:
        new = self._new
        thread = store.create(connection, new.thread_id or "", new.owner_id)
        return replace(new, thread_key=thread.key)

    def write(self, connection: Connection, run: Run) -> list[Raw]:
        assert run.thread_key is not None
        self._stored(store.add(connection, run.thread_key, [self._item])[0])
        return []

    def opening(self) -> Opening:
        """The same as one statement."""
        new, at_ms = self._new, now_ms()
        assert new.thread_id is not None
        assert new.id is not None
        say, made = store.added_to_held(self._item, at_ms)

        def stored(thread_key: int, position: int, key: int) -> None:
            self._stored(made(thread_key, position, key))

        take = store.taken(new.thread_id, new.owner_id, new.id, at_ms)
        return Opening(new, take, say, stored, at_ms)
