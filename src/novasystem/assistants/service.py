"""Assistants, threads and messages: what is kept between runs."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy.engine import Connection

from novasystem.assistants import store
from novasystem.assistants.pages import Page, Paging
from novasystem.assistants.records import Assistant
from novasystem.errors import IllegalTransition, InvalidRequest, NotFound, ThreadBusy
from novasystem.runs.service import Runs
from novasystem.runs.state import ENDED
from novasystem.threads import store as thread_store
from novasystem.threads.records import Item, NewItem, Thread

__all__ = ["Assistants", "found_assistant", "found_thread"]

_CANCEL_S = 5.0


def found_assistant(connection: Connection, assistant_id: str, owner_id: str) -> Assistant:
    """Raises ``NotFound``, also for another owner's."""
    assistant = store.find(connection, assistant_id, owner_id)
    if assistant is None:
        raise NotFound("assistant", assistant_id, param="assistant_id")
    return assistant


def found_thread(connection: Connection, thread_id: str, owner_id: str) -> Thread:
    """The thread with that stored id; raises ``NotFound``, also for another owner's."""
    thread = thread_store.find(connection, thread_id, owner_id)
    if thread is None:
        raise NotFound("thread", f"thread_{thread_id}", param="thread_id")
    return thread


def found_message(connection: Connection, thread: Thread, message_id: str) -> Item:
    item = thread_store.get_item(connection, thread.key, message_id)
    if item is None or item.kind != "message":
        raise NotFound("message", message_id, param="message_id")
    return item


class Assistants:
    """Each method is one transaction on what ``owner_id`` owns; thread ids are the stored ones."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._database = runs.database

    async def create(self, owner_id: str, values: dict[str, Any]) -> Assistant:
        return await self._database.write(store.create, owner_id, values)

    async def get(self, owner_id: str, assistant_id: str) -> Assistant:
        return await self._database.read(found_assistant, assistant_id, owner_id)

    async def update(self, owner_id: str, assistant_id: str, values: dict[str, Any]) -> Assistant:
        """Runs that have begun go on as they were."""

        def work(connection: Connection) -> Assistant:
            assistant = found_assistant(connection, assistant_id, owner_id)
            store.update(connection, assistant.key, values)
            return found_assistant(connection, assistant_id, owner_id)

        return await self._database.write(work)

    async def delete(self, owner_id: str, assistant_id: str) -> None:
        """Its threads and runs stay; those that have begun go on."""

        def work(connection: Connection) -> None:
            store.delete(connection, found_assistant(connection, assistant_id, owner_id).key)

        await self._database.write(work)

    async def page(self, owner_id: str, page: Page) -> Paging[Assistant]:
        def work(connection: Connection) -> Paging[Assistant]:
            return page.read(
                partial(store.list_assistants, connection, owner_id),
                lambda cursor: store.find(connection, cursor, owner_id),
            )

        return await self._database.read(work)

    async def create_thread(
        self,
        owner_id: str,
        messages: Sequence[NewItem],
        metadata: dict[str, str] | None,
        tool_resources: dict[str, Any] | None,
    ) -> Thread:
        def work(connection: Connection) -> Thread:
            return new_thread(connection, owner_id, messages, metadata, tool_resources)

        return await self._database.write(work)

    async def thread(self, owner_id: str, thread_id: str) -> Thread:
        return await self._database.read(found_thread, thread_id, owner_id)

    async def update_thread(self, owner_id: str, thread_id: str, values: dict[str, Any]) -> Thread:
        def work(connection: Connection) -> Thread:
            thread = found_thread(connection, thread_id, owner_id)
            if values:
                thread_store.update(connection, thread.key, **values)
            return found_thread(connection, thread_id, owner_id)

        return await self._database.write(work)

    async def delete_thread(self, owner_id: str, thread_id: str) -> None:
        """Take its messages, runs, steps and events with it; an active run is stopped first."""
        thread = await self.thread(owner_id, thread_id)
        if thread.active_run is not None:
            await self._stop(thread.active_run, owner_id)

        def work(connection: Connection) -> list[str]:
            found = found_thread(connection, thread_id, owner_id)
            return thread_store.delete(connection, found.key)

        for run_id in await self._database.write(work):
            self._runs.forget(run_id)

    async def _stop(self, run_id: str, owner_id: str) -> None:
        try:
            run = await self._runs.cancel(run_id, owner_id)
            if run.status not in ENDED:
                await self._runs.wait(run, _CANCEL_S)
        except (IllegalTransition, NotFound):
            # It ended by itself meanwhile.
            return

    async def add_message(self, owner_id: str, thread_id: str, message: NewItem) -> Item:
        """Raises ``ThreadBusy`` while a run holds the thread: it would miss the message."""

        def work(connection: Connection) -> Item:
            thread = found_thread(connection, thread_id, owner_id)
            (item,) = thread_store.add(connection, thread.key, [message])
            # Read once the row is ours: a run that begins in this moment waits for us.
            held_by = found_thread(connection, thread_id, owner_id).active_run
            if held_by is not None:
                raise ThreadBusy(f"thread_{thread_id}", held_by)
            return item

        return await self._database.write(work)

    async def message(self, owner_id: str, thread_id: str, message_id: str) -> Item:
        def work(connection: Connection) -> Item:
            thread = found_thread(connection, thread_id, owner_id)
            return found_message(connection, thread, message_id)

        return await self._database.read(work)

    async def update_message(
        self, owner_id: str, thread_id: str, message_id: str, metadata: dict[str, str] | None
    ) -> Item:
        """``None`` leaves the metadata as they are."""

        def work(connection: Connection) -> Item:
            thread = found_thread(connection, thread_id, owner_id)
            item = found_message(connection, thread, message_id)
            if metadata is not None:
                thread_store.update_item(connection, item.key, metadata)
            return found_message(connection, thread, message_id)

        return await self._database.write(work)

    async def delete_message(self, owner_id: str, thread_id: str, message_id: str) -> None:
        """Raises ``InvalidRequest`` for a message that is being written."""

        def work(connection: Connection) -> None:
            thread = found_thread(connection, thread_id, owner_id)
            item = found_message(connection, thread, message_id)
            if item.status == "in_progress":
                raise InvalidRequest(
                    f"Message '{message_id}' is being written by run '{item.run_id}'.",
                    hint="Wait for its end, or cancel the run.",
                    param="message_id",
                )
            thread_store.delete_item(connection, item.key)

        await self._database.write(work)

    async def messages(
        self, owner_id: str, thread_id: str, page: Page, run_id: str | None
    ) -> Paging[Item]:
        def work(connection: Connection) -> Paging[Item]:
            thread = found_thread(connection, thread_id, owner_id)

            def known(cursor: str) -> Item | None:
                item = thread_store.get_item(connection, thread.key, cursor)
                return item if item is not None and item.kind == "message" else None

            listed = partial(
                thread_store.list_items, connection, thread.key, kind="message", run_id=run_id
            )
            return page.read(listed, known)

        return await self._database.read(work)


def new_thread(
    connection: Connection,
    owner_id: str,
    messages: Sequence[NewItem],
    metadata: dict[str, str] | None,
    tool_resources: dict[str, Any] | None,
) -> Thread:
    """A thread of its own id, with its first messages."""
    thread = thread_store.create(
        connection, uuid4().hex, owner_id, metadata=metadata, tool_resources=tool_resources
    )
    thread_store.add(connection, thread.key, messages)
    return thread
