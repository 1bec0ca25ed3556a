"""Runs of assistants: begun, watched, answered with the outputs of calls, and read back."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from novasystem.assistants.execute import KIND
from novasystem.assistants.pages import Page, Paging
from novasystem.assistants.records import Assistant
from novasystem.assistants.service import found_assistant, found_thread, new_thread
from novasystem.engines.registry import Registry
from novasystem.errors import IllegalTransition, InvalidRequest, NotFound, ThreadBusy
from novasystem.runs import store as run_store
from novasystem.runs.records import Event, NewRun, Run, Seen, Step
from novasystem.runs.service import Runs
from novasystem.runs.state import ENDED, RunStatus
from novasystem.runs.store import Raw
from novasystem.storage.ids import now_ms
from novasystem.threads import store as thread_store
from novasystem.threads.records import NewItem, Thread
from novasystem.turns.fitting import estimate

__all__ = ["AssistantRuns"]

_UNTIL: frozenset[RunStatus] = ENDED | {"requires_action"}


class AssistantRuns:
    """Thread ids are the stored ones. ``expires_s``: how long a run may take in all."""

    def __init__(self, runs: Runs, registry: Registry, expires_s: float) -> None:
        self._runs = runs
        self._registry = registry
        self._database = runs.database
        self._expires_s = expires_s

    async def assistant(self, owner_id: str, assistant_id: str, thread_id: str | None) -> Assistant:
        """Whom a run on that thread would be of; raises ``NotFound`` for either of them."""

        def work(connection: Connection) -> Assistant:
            if thread_id is not None:
                found_thread(connection, thread_id, owner_id)
            return found_assistant(connection, assistant_id, owner_id)

        return await self._database.read(work)

    async def start(
        self,
        owner_id: str,
        thread_id: str,
        assistant_id: str,
        request: Mapping[str, Any],
        metadata: Mapping[str, str] | None,
        messages: Sequence[NewItem],
    ) -> Run:
        """A run on a thread that is there, behind ``messages``.

        Raises ``ModelNotFound`` before anything is stored, and ``ThreadBusy``.
        """
        lane = (await self._registry.resolve(request["model"])).pool.name

        def new(connection: Connection) -> NewRun:
            thread = found_thread(connection, thread_id, owner_id)
            return self._new(thread, assistant_id, request, metadata)

        def write(connection: Connection, run: Run) -> list[Raw]:
            assert run.thread_key is not None
            thread_store.add(connection, run.thread_key, messages)
            return []

        try:
            return await self._runs.start(new, lane=lane, write=write)
        except ThreadBusy as busy:
            raise ThreadBusy(f"thread_{thread_id}", busy.run_id) from None

    async def start_with_thread(
        self,
        owner_id: str,
        assistant_id: str,
        request: Mapping[str, Any],
        metadata: Mapping[str, str] | None,
        messages: Sequence[NewItem],
        thread_metadata: dict[str, str] | None,
        tool_resources: dict[str, Any] | None,
    ) -> tuple[Thread, Run]:
        """A run and the thread that is made for it, or neither."""
        lane = (await self._registry.resolve(request["model"])).pool.name
        made: list[Thread] = []

        def new(connection: Connection) -> NewRun:
            thread = new_thread(connection, owner_id, messages, thread_metadata, tool_resources)
            made[:] = [thread]
            return self._new(thread, assistant_id, request, metadata)

        run = await self._runs.start(new, lane=lane)
        return made[0], run

    def _new(
        self,
        thread: Thread,
        assistant_id: str,
        request: Mapping[str, Any],
        metadata: Mapping[str, str] | None,
    ) -> NewRun:
        return NewRun(
            KIND,
            thread.owner_id,
            request,
            thread_key=thread.key,
            thread_id=thread.id,
            assistant_id=assistant_id,
            metadata=metadata or {},
            expires_in_s=self._expires_s,
        )

    async def get(self, owner_id: str, thread_id: str, run_id: str) -> Run:
        """Raises ``NotFound``, also for another owner's, and for a run on another thread."""
        return await self._database.read(_found, owner_id, thread_id, run_id)

    async def page(self, owner_id: str, thread_id: str, page: Page) -> Paging[Run]:
        def work(connection: Connection) -> Paging[Run]:
            thread = found_thread(connection, thread_id, owner_id)

            def known(cursor: str) -> Run | None:
                run = run_store.get(connection, cursor, owner_id=owner_id)
                return run if run is not None and run.thread_key == thread.key else None

            listed = partial(
                run_store.list_runs,
                connection,
                owner_id=owner_id,
                thread_key=thread.key,
                kind=KIND,
            )
            return page.read(listed, known)

        return await self._database.read(work)

    async def update(
        self, owner_id: str, thread_id: str, run_id: str, metadata: Mapping[str, str] | None
    ) -> Run:
        """``None`` leaves the metadata as they are."""

        def work(connection: Connection) -> Run:
            run = _found(connection, owner_id, thread_id, run_id)
            if metadata is not None:
                run_store.set_metadata(connection, run.key, metadata)
            return _found(connection, owner_id, thread_id, run_id)

        return await self._database.write(work)

    async def cancel(self, owner_id: str, thread_id: str, run_id: str) -> Run:
        """Raises ``InvalidRequest`` where it has ended."""
        run = await self.get(owner_id, thread_id, run_id)
        try:
            return await self._runs.cancel(run.id, owner_id)
        except IllegalTransition as error:
            raise InvalidRequest(
                f"Run '{run_id}' is {error.before}: there is nothing to cancel.", param="run_id"
            ) from None

    async def submit(
        self, owner_id: str, thread_id: str, run_id: str, outputs: Mapping[str, str]
    ) -> tuple[Run, int]:
        """Give the calls their outputs, all at once: the run goes on.

        Calls and results become items of the thread in the same transaction, so that a thread
        never holds one without the other. Returns the run, and the number of the last event that
        stood before. Raises ``InvalidRequest`` where they are not those that it waits for.
        """
        run = await self.get(owner_id, thread_id, run_id)
        before: list[int] = []

        def write(connection: Connection, run: Run) -> list[Raw]:
            before[:] = [run.last_seq]
            return _answer_calls(connection, run, outputs)

        try:
            return await self._runs.go_on(run, write), before[0]
        except IllegalTransition as error:
            raise InvalidRequest(
                f"Run '{run_id}' is {error.before}: it waits for no outputs.", param="run_id"
            ) from None

    async def steps(
        self, owner_id: str, thread_id: str, run_id: str, page: Page
    ) -> tuple[Run, Paging[Step]]:
        def work(connection: Connection) -> tuple[Run, Paging[Step]]:
            run = _found(connection, owner_id, thread_id, run_id)
            listed = partial(run_store.list_steps, connection, run.key)
            known = partial(run_store.get_step, connection, run.key)
            return run, page.read(listed, known)

        return await self._database.read(work)

    async def step(
        self, owner_id: str, thread_id: str, run_id: str, step_id: str
    ) -> tuple[Run, Step]:
        def work(connection: Connection) -> tuple[Run, Step]:
            run = _found(connection, owner_id, thread_id, run_id)
            step = run_store.get_step(connection, run.key, step_id)
            if step is None:
                raise NotFound("run step", step_id, param="step_id")
            return run, step

        return await self._database.read(work)

    async def wait(self, run: Run, timeout_s: float) -> Run:
        """The run once it has ended or waits for outputs, or as it is when the time is over."""
        return await self._runs.wait(run, timeout_s, _UNTIL)

    def follow(self, run: Run, after: int) -> AsyncGenerator[Seen, None]:
        return self._runs.follow(run, after)

    async def recorded(self, run: Run, until: int) -> list[Event]:
        """The stored log of the run as far as the event with that number."""
        events = await self._database.read(run_store.events_after, run.key, 0)
        return [event for event in events if event.seq <= until]

    async def now(self, run: Run) -> Run | None:
        """The run as it is stored now; ``None``: it was deleted."""
        return await self._database.read(run_store.get, run.id)


def _found(connection: Connection, owner_id: str, thread_id: str, run_id: str) -> Run:
    found_thread(connection, thread_id, owner_id)
    run = run_store.get(connection, run_id, owner_id=owner_id)
    if run is None or run.thread_id != thread_id or run.kind != KIND:
        raise NotFound("run", run_id, param="run_id")
    return run


def _answer_calls(connection: Connection, run: Run, outputs: Mapping[str, str]) -> list[Raw]:
    details = run.details or {}
    calls: list[dict[str, Any]] = details["tool_calls"]
    wanted = {call["id"] for call in calls}
    for said, ids in (
        ("Run '{}' waits for no call with the id {}.", outputs.keys() - wanted),
        ("Run '{}' also waits for the output of {}.", wanted - outputs.keys()),
    ):
        if ids:
            raise InvalidRequest(
                said.format(run.id, ", ".join(f"'{one[:80]}'" for one in sorted(ids))),
                hint="Send the outputs of all calls in one request.",
                param="tool_outputs",
            )
    assert run.thread_key is not None
    done = [{**call, "output": outputs[call["id"]]} for call in calls]
    made = partial(NewItem, run_id=run.id, assistant_id=run.assistant_id)
    asked = [
        made(
            "tool_call",
            call["arguments"],
            call_id=call["id"],
            name=call["name"],
            token_count=estimate(call["name"] + call["arguments"]),
        )
        for call in done
    ]
    told = [
        made(
            "tool_result",
            call["output"],
            call_id=call["id"],
            name=call["name"],
            token_count=estimate(call["output"]),
        )
        for call in done
    ]
    thread_store.add(connection, run.thread_key, [*asked, *told])
    now, step_id = now_ms(), details["step_id"]
    ended = {"tool_calls": done}
    usage = details.get("step_usage")
    run_store.end_step(connection, step_id, "completed", details=ended, usage=usage, ended_at=now)
    return [("calls_ended", {"step_id": step_id, **ended, "usage": usage}, now)]
