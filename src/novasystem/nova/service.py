"""Asks as durable runs on sessions: begun, watched, cancelled, read back."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from novasystem.engines.registry import Registry
from novasystem.errors import IllegalTransition, InvalidRequest, NotFound
from novasystem.nova import store
from novasystem.nova.agents import Agent, executors
from novasystem.nova.execute import KIND
from novasystem.nova.limits import AskLimits
from novasystem.nova.mode import Asked, settled
from novasystem.nova.progress import Progress
from novasystem.runs import store as run_store
from novasystem.runs.records import Event, Run, Seen
from novasystem.runs.service import Runs
from novasystem.runs.state import ENDED
from novasystem.storage.ids import new_id
from novasystem.threads import store as thread_store
from novasystem.threads.queue import ThreadQueue
from novasystem.threads.records import Item, Thread
from novasystem.turns.opening import Said

__all__ = ["Nova", "Question", "Session"]

_CANCEL_S = 10.0
_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and how."""

    prompt: str
    model: str | None = None
    mode: Asked = "auto"
    temperature: float | None = None
    seed: int | None = None
    limits: AskLimits = field(default_factory=AskLimits)


@dataclass(frozen=True, slots=True)
class Session:
    """``title``: what it began with."""

    thread: Thread
    title: str


class Nova:
    """``queue``: where asks wait that come to a busy session."""

    def __init__(
        self, runs: Runs, registry: Registry, queue: ThreadQueue, agents: Mapping[str, Agent]
    ) -> None:
        self._runs = runs
        self._registry = registry
        self._queue = queue
        self._database = runs.database
        self.agents = agents

    async def ask(
        self, owner_id: str, session_id: UUID, question: Question, *, run_id: str | None = None
    ) -> Run:
        """Begin an ask; an unknown session begins with it. It goes on when its caller leaves.

        Raises ``ModelNotFound`` before anything is stored, and ``Overloaded`` where too many wait
        for this session already.
        """
        resolved = await self._registry.resolve(question.model)
        mode = settled(question.mode, question.prompt)
        await self._check_models(mode)
        lane, thread_id = resolved.pool.name, session_id.hex
        request = {
            "model": question.model or self._registry.default_model,
            "mode": mode,
            "temperature": question.temperature,
            "seed": question.seed,
            "limits": question.limits.as_json(),
            "prompt_chars": len(question.prompt),
        }
        named = run_id or new_id("run")

        said = Said(KIND, owner_id, thread_id, question.prompt, request, run_id=named)

        async def start() -> Run:
            return await self._runs.start(
                said.new, lane=lane, write=said.write, opening=said.opening()
            )

        return await self._queue.take_turn((owner_id, thread_id), start)

    async def _check_models(self, mode: str) -> None:
        """Raises ``ModelNotFound`` for an agent's own model that does not answer."""
        for name, agent in self.agents.items():
            if agent.model is not None and (name == "single") == (mode == "single"):
                await self._registry.resolve(agent.model)

    async def get(self, owner_id: str, run_id: str) -> Run:
        """The run of an ask; raises ``NotFound``."""
        run = await self._runs.get(run_id, owner_id)
        if run.kind != KIND:
            raise NotFound("ask", run_id, param="run_id")
        return run

    async def finished(self, run: Run) -> Run:
        """The run once it has ended, however long that takes."""
        async with aclosing(self._runs.follow(run)) as events:
            async for _ in events:
                pass
        return await self._runs.get(run.id, run.owner_id)

    async def progress(self, run: Run, until: int | None = None) -> Progress:
        """What is stored of an ask, as far as the event with that number."""
        return Progress.of(await self.events(run, until))

    async def events(self, run: Run, until: int | None = None) -> list[Event]:
        events = await self._database.read(run_store.events_after, run.key, 0)
        return [event for event in events if until is None or event.seq <= until]

    def follow(self, run: Run, after: int = 0) -> AsyncGenerator[Seen, None]:
        return self._runs.follow(run, after)

    async def cancel(self, owner_id: str, run_id: str) -> Run:
        """Ask for its end; raises ``NotFound``, or ``IllegalTransition`` where it has ended."""
        run = await self.get(owner_id, run_id)
        return await self._runs.cancel(run.id, owner_id)

    async def sessions(
        self, owner_id: str, *, limit: int, after: UUID | None
    ) -> tuple[list[Session], bool]:
        """A page of sessions, the newest first, and whether there are more."""

        def read(connection: Connection) -> list[Session]:
            if after is not None and thread_store.find(connection, after.hex, owner_id) is None:
                raise InvalidRequest(
                    f"'after': there is no session '{after}'.",
                    hint="It may have been deleted: begin the list again.",
                    param="after",
                )
            found = store.list_sessions(
                connection,
                owner_id,
                KIND,
                limit=limit + 1,
                after=None if after is None else after.hex,
            )
            titles = store.first_questions(connection, [thread.key for thread in found])
            return [Session(thread, titles.get(thread.key, "")) for thread in found]

        found = await self._database.read(read)
        return found[:limit], len(found) > limit

    async def session(
        self, owner_id: str, session_id: UUID
    ) -> tuple[Session, Sequence[Item], Sequence[Run]]:
        """A session with its newest items and asks, 1,000 of each at most, oldest first; raises
        ``NotFound``, also for another owner's."""

        def read(connection: Connection) -> tuple[Session, Sequence[Item], Sequence[Run]]:
            thread = self._found(connection, owner_id, session_id)
            items = thread_store.last_items(connection, thread.key, _SHOWN)
            runs = run_store.list_runs(
                connection, owner_id=owner_id, thread_key=thread.key, kind=KIND, limit=_SHOWN
            )
            titles = store.first_questions(connection, [thread.key])
            return Session(thread, titles.get(thread.key, "")), items, runs[::-1]

        return await self._database.read(read)

    async def delete(self, owner_id: str, session_id: UUID) -> None:
        """Take a session away with all that was said in it; an ask that goes on is ended first.

        Raises ``NotFound``.
        """

        def find(connection: Connection) -> Thread:
            return self._found(connection, owner_id, session_id)

        thread = await self._database.read(find)
        if thread.active_run is not None:
            await self._stop(owner_id, thread.active_run)

        def work(connection: Connection) -> list[str]:
            return thread_store.delete(connection, find(connection).key)

        for run_id in await self._database.write(work):
            self._runs.forget(run_id)

    async def _stop(self, owner_id: str, run_id: str) -> None:
        try:
            run = await self._runs.cancel(run_id, owner_id)
            if run.status not in ENDED:
                await self._runs.wait(run, _CANCEL_S)
        except (IllegalTransition, NotFound):
            # It ended by itself meanwhile.
            return

    def _found(self, connection: Connection, owner_id: str, session_id: UUID) -> Thread:
        thread = thread_store.find(connection, session_id.hex, owner_id)
        if thread is None:
            raise NotFound("session", str(session_id), param="session_id")
        return thread

    def shown_agents(self) -> list[dict[str, Any]]:
        """Every agent, as the door lists them."""
        working = executors(self.agents)
        return [
            {
                "name": agent.name,
                "purpose": agent.purpose,
                "instructions": agent.instructions,
                "schema": agent.schema,
                "model": agent.model,
                "temperature": agent.temperature,
                "max_tokens": agent.max_tokens,
                "timeout_s": agent.timeout_s,
                "tools": None if agent.tools is None else list(agent.tools),
                "words": list(agent.words),
                "executes": agent.name in working,
            }
            for agent in self.agents.values()
        ]
