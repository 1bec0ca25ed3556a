"""The conversations of an owner: listed, read, named, deleted."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from sqlalchemy.engine import Connection

from novasystem.chat import store
from novasystem.chat.records import Conversation, Talk
from novasystem.errors import NotFound
from novasystem.storage.database import Database
from novasystem.threads import store as thread_store

__all__ = ["Conversations"]

DeleteThread = Callable[[str, str], Awaitable[None]]
"""Takes the owner and the thread's stored id."""


class Conversations:
    """``delete_thread``: what takes a thread away with all that belongs to it."""

    def __init__(self, database: Database, delete_thread: DeleteThread) -> None:
        self._database = database
        self._delete_thread = delete_thread

    async def page(
        self, owner_id: str, limit: int, after: UUID | None = None
    ) -> tuple[list[Conversation], bool]:
        """The one with the newest turn first, and whether there are more."""

        def read(connection: Connection) -> list[Conversation]:
            cursor = None if after is None else _found(connection, owner_id, after)
            return store.list_conversations(connection, owner_id, limit=limit + 1, after=cursor)

        found = await self._database.read(read)
        return found[:limit], len(found) > limit

    async def get(self, owner_id: str, conversation_id: UUID) -> Conversation:
        """Raises ``NotFound``, also for another owner's."""
        return await self._database.read(_found, owner_id, conversation_id)

    async def read(
        self, owner_id: str, conversation_id: UUID, limit: int, before: str | None = None
    ) -> Talk:
        """The newest ``limit`` messages, or those right before the message ``before``."""

        def read(connection: Connection) -> Talk:
            conversation = _found(connection, owner_id, conversation_id)
            key = conversation.key
            if before is not None and thread_store.get_item(connection, key, before) is None:
                raise NotFound("message", before, param="before")
            items = thread_store.list_items(
                connection, key, limit=limit + 1, ascending=False, after=before
            )
            shown = items[:limit][::-1]
            runs = store.runs_of(connection, key, {item.run_id for item in shown if item.run_id})
            return Talk(conversation, tuple(shown), runs, len(items) > limit)

        return await self._database.read(read)

    async def name(self, owner_id: str, conversation_id: UUID, title: str | None) -> Conversation:
        """``None``, or nothing but white space: it is called as it begins."""

        def write(connection: Connection) -> Conversation:
            key = _found(connection, owner_id, conversation_id).key
            thread = thread_store.get(connection, key)
            assert thread is not None
            kept = {name: text for name, text in thread.metadata.items() if name != store.TITLE}
            named = " ".join((title or "").split())
            if named:
                kept[store.TITLE] = named
            thread_store.update(connection, key, metadata=kept)
            return _found(connection, owner_id, conversation_id)

        return await self._database.write(write)

    async def delete(self, owner_id: str, conversation_id: UUID) -> None:
        """With all that was said; an answer that is being given is stopped first."""
        await self.get(owner_id, conversation_id)
        await self._delete_thread(owner_id, conversation_id.hex)


def _found(connection: Connection, owner_id: str, conversation_id: UUID) -> Conversation:
    conversation = store.find(connection, owner_id, conversation_id.hex)
    if conversation is None:
        raise NotFound("conversation", str(conversation_id), param="conversation_id")
    return conversation
