"""A conversation: each turn is a run on its thread, and ends where its watcher leaves."""

from collections.abc import AsyncGenerator
from uuid import UUID

from sqlalchemy.engine import Connection

from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest, TimeLimits
from novasystem.errors import IllegalTransition, NotFound
from novasystem.runs import store as run_store
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.records import NewRun, Outcome, Run, Seen
from novasystem.runs.service import Runs
from novasystem.runs.store import Raw
from novasystem.storage.database import Database
from novasystem.threads import store
from novasystem.threads.queue import ThreadQueue
from novasystem.threads.records import NewItem
from novasystem.turns.answer import answer, settle, spoken
from novasystem.turns.messages import to_messages
from novasystem.turns.window import look_back

__all__ = ["KIND", "Chat", "chat_kind"]

KIND = "chat"


def chat_kind(database: Database, registry: Registry, limits: TimeLimits) -> Kind:
    """What a turn of a conversation executes."""

    async def execute(context: RunContext) -> Outcome:
        run = context.run
        assert run.thread_key is not None
        model = run.request["model"]
        shown = await look_back(database, registry, run.thread_key, model)
        asked = GenerateRequest(model, to_messages(shown.items), limits=limits)
        said = await answer(context, registry, asked)
        details = {"left_out_items": shown.left_out}
        if said.reason == "length":
            return Outcome("incomplete", {**details, "reason": "max_tokens"}, said.usage)
        return Outcome("completed", details, said.usage)

    return Kind(execute, settle)


class Chat:
    """``queue``: where turns wait that come to a busy thread."""

    def __init__(self, runs: Runs, registry: Registry, queue: ThreadQueue) -> None:
        self._runs = runs
        self._registry = registry
        self._queue = queue

    async def say(
        self, owner_id: str, conversation_id: UUID, message: str, model: str | None
    ) -> Run:
        """Begin a turn; an unknown conversation begins with it.

        Raises ``ModelNotFound`` before anything is stored, and ``Overloaded`` where too many turns
        wait for this conversation already.
        """
        resolved = await self._registry.resolve(model)
        thread_id = conversation_id.hex
        name = model or self._registry.default_model

        def new(connection: Connection) -> NewRun:
            thread = store.create(connection, thread_id, owner_id)
            return NewRun(
                KIND, owner_id, {"model": name}, thread_key=thread.key, thread_id=thread_id
            )

        def write(connection: Connection, run: Run) -> list[Raw]:
            assert run.thread_key is not None
            said = NewItem("message", message, role="user", run_id=run.id)
            store.add(connection, run.thread_key, [said])
            return []

        async def start() -> Run:
            return await self._runs.start(new, lane=resolved.pool.name, write=write)

        return await self._queue.take_turn((owner_id, thread_id), start)

    async def leave(self, run: Run) -> None:
        """Whoever asked has gone: stop, and keep what was said."""
        try:
            await self._runs.cancel(run.id, run.owner_id)
        except (IllegalTransition, NotFound):
            # It had just ended, or its conversation was deleted.
            return

    def follow(self, run: Run, after: int = 0) -> AsyncGenerator[Seen, None]:
        return self._runs.follow(run, after)

    async def last_turn(self, owner_id: str, conversation_id: UUID) -> Run:
        """The newest turn; raises ``NotFound``, also for another owner's conversation."""

        def find(connection: Connection) -> Run | None:
            thread = store.find(connection, conversation_id.hex, owner_id)
            if thread is None:
                return None
            found = run_store.list_runs(
                connection, owner_id=owner_id, thread_key=thread.key, kind=KIND, limit=1
            )
            return found[0] if found else None

        run = await self._runs.database.read(find)
        if run is None:
            raise NotFound("conversation", str(conversation_id), param="conversation_id")
        return run

    async def said(self, run: Run, until: int) -> str:
        """The answer's text as far as the event with that number."""
        events = await self._runs.database.read(run_store.events_after, run.key, 0)
        return spoken([event for event in events if event.seq <= until])[2]
