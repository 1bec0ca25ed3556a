"""A conversation: each turn is a run on its thread, and ends where its watcher leaves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from sqlalchemy.engine import Connection

from novasystem.chat.head_start import HeadStarts
from novasystem.chat.records import Options
from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest, TimeLimits
from novasystem.errors import NotFound
from novasystem.runs import store as run_store
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.records import Outcome, Run, Seen
from novasystem.runs.service import Runs
from novasystem.runs.store import Raw
from novasystem.storage.database import Database
from novasystem.threads import store
from novasystem.threads.queue import ThreadQueue
from novasystem.threads.records import Item
from novasystem.turns.answer import answer
from novasystem.turns.asking import ask
from novasystem.turns.kept import settle, spoken
from novasystem.turns.opening import Said
from novasystem.turns.tokens import count, note
from novasystem.turns.window import look_back

__all__ = ["KIND", "Chat", "chat_kind"]

KIND = "chat"


def chat_kind(
    database: Database, registry: Registry, limits: TimeLimits, head_starts: HeadStarts
) -> Kind:
    """What a turn of a conversation executes."""

    async def execute(context: RunContext) -> Outcome:
        run = context.run
        assert run.thread_key is not None
        model = run.request["model"]
        options = Options.of(run.request)
        request = GenerateRequest(model, (), sampling=options.sampling, limits=limits)
        begun = await head_starts.take(run.id)
        if begun is None:
            shown = await look_back(
                database,
                registry,
                run.thread_key,
                model,
                instructions=options.system,
                answer_tokens=options.sampling.max_tokens,
            )
            begun = await ask(context, registry, request, shown, options.system)
        async with aclosing(begun.events):
            message = begun.shown.items[-1]
            counting = asyncio.create_task(count(registry, model, message.content))
            try:
                said = await answer(context, registry, request, begun.events)
                tokens, exact = await counting
                if exact and not message.token_count_exact:
                    note(context, message, tokens)
            finally:
                counting.cancel()
        details = begun.details()
        if said.reason == "length":
            return Outcome("incomplete", {**details, "reason": "max_tokens"}, said.usage)
        return Outcome("completed", details, said.usage)

    return Kind(execute, settle)


class Chat:
    """``queue``: where turns wait that come to a busy thread."""

    def __init__(
        self, runs: Runs, registry: Registry, queue: ThreadQueue, head_starts: HeadStarts
    ) -> None:
        self._runs = runs
        self._registry = registry
        self._queue = queue
        self._head_starts = head_starts

    async def say(
        self,
        owner_id: str,
        conversation_id: UUID,
        message: str,
        model: str | None,
        options: Options,
        *,
        run_id: str,
        new: bool = False,
    ) -> Run:
        """Begin a turn; an unknown conversation begins with it. ``new``: nobody can know it yet.

        ``run_id``: what its run is to be called. A caller that is cancelled meanwhile ends the
        turn. Raises ``ModelNotFound`` before anything is stored, ``NotFound`` where it stands
        instead of a message that is not there, and ``Overloaded`` where too many turns wait for
        this conversation already.
        """
        resolved = await self._registry.resolve(model)
        lane = resolved.pool.name
        thread_id = conversation_id.hex
        name = model or self._registry.default_model
        heads = self._head_starts

        def stored(item: Item) -> None:
            heads.stored(run_id, item)

        async def start() -> Run:
            request = {"model": name, **options.stored()}
            said = Said(KIND, owner_id, thread_id, message, request, run_id=run_id, stored=stored)

            def write(connection: Connection, run: Run) -> list[Raw]:
                if options.instead_of is not None:
                    assert run.thread_key is not None
                    store.cut(connection, run.thread_key, options.instead_of)
                return said.write(connection, run)

            def still() -> bool:
                return self._runs.room(lane)

            # What the model is shown instead is known once the conversation was cut.
            if options.instead_of is None and still():
                await heads.begin(
                    run_id,
                    owner_id,
                    thread_id,
                    message,
                    name,
                    new=new,
                    system=options.system,
                    sampling=options.sampling,
                    still=still,
                )
            try:
                run = await self._runs.start(
                    said.new,
                    lane=lane,
                    write=write,
                    unseen="cancel",
                    opening=said.opening() if options.instead_of is None else None,
                )
            except BaseException:
                heads.drop(run_id)
                raise
            if run.status == "queued":
                # Whoever carries it out some day asks then.
                heads.drop(run_id)
            return run

        return await self._queue.take_turn((owner_id, thread_id), start)

    def leave(self, run: Run) -> None:
        """Whoever asked has gone: stop, and keep what was said."""
        self._head_starts.drop(run.id)
        self._runs.abandon(run)

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
