"""What a run of the kind "nova" executes: an ask, from the question to the stored answer."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.engine import Connection

from novasystem.engines.registry import Registry
from novasystem.engines.requests import Sampling, TimeLimits
from novasystem.nova import wording
from novasystem.nova.agents import Agent
from novasystem.nova.calling import Calls
from novasystem.nova.conversation import Conversation
from novasystem.nova.limits import AskLimits, Spent
from novasystem.nova.memory import Memory
from novasystem.nova.meter import Meter, Reading, Watch
from novasystem.nova.metrics import metrics
from novasystem.nova.orchestrator import Orchestrator
from novasystem.nova.progress import Progress
from novasystem.nova.recalling import recall, remembering
from novasystem.nova.settling import settle
from novasystem.nova.speaking import Speaker
from novasystem.nova.tools import Tools
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.joined import Change
from novasystem.runs.records import Outcome
from novasystem.storage.database import Database
from novasystem.storage.ids import new_id, now_ms
from novasystem.threads import store
from novasystem.threads.records import Item, NewItem
from novasystem.turns.fitting import estimate
from novasystem.turns.window import Room, newest, room
from novasystem.unexpected import as_nova_error

__all__ = ["KIND", "Workplace", "nova_kind"]

KIND = "nova"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Workplace:
    """What every ask works with."""

    database: Database
    registry: Registry
    limits: TimeLimits
    agents: Mapping[str, Agent]
    tools: Tools
    memory: Memory
    watch: Watch
    log_prompts: bool = False


def nova_kind(place: Workplace) -> Kind:
    """An ask that is interrupted goes on behind its last stored step."""

    async def execute(context: RunContext) -> Outcome:
        return await _Execution(context, place).carry_out()

    return Kind(execute, settle, resumes=True)


class _Execution:
    """One execution of one ask."""

    def __init__(self, context: RunContext, place: Workplace) -> None:
        self._context = context
        self._place = place
        self._request = context.run.request
        self._began = time.perf_counter()
        self._before = Progress()
        self._spent = Spent(AskLimits.of(self._request["limits"]))
        self._meter = Meter(place.registry, place.watch)
        self._first: Reading | None = None
        self._speaker: Speaker | None = None
        self._question = ""

    async def carry_out(self) -> Outcome:
        run = self._context.run
        if run.fence > 1:
            self._before = Progress.of(await self._context.recorded())
        if self._before.answered is not None:
            return self._outcome(self._before.answered)
        try:
            answered = await self._answered()
        except asyncio.CancelledError:
            self._log("stopped", self._metrics())
            raise
        except Exception as error:
            said = as_nova_error(error)
            self._log("failed", self._metrics(), error_code=said.code, error=said.message)
            raise
        self._keep(answered)
        figures, reached = answered["metrics"], answered["limits_reached"]
        self._log(answered["status"], figures, limits_reached=reached)
        return self._outcome(answered)

    async def _answered(self) -> dict[str, Any]:
        """What the ``answered`` event says."""
        if self._before.begun is None:
            self._context.emit("begun", self._begun())
        else:
            self._context.emit("restarted", {})
        model = self._request["model"]
        self._first = await self._meter.read(model)
        items = await self._items(model)
        self._question = question = items[-1].content
        recalled = await self._recall(question, items, model)
        calls = Calls(self._context, self._place.registry, self._place.tools, self._before)
        self._speaker = speaker = Speaker(
            self._context,
            self._place.registry,
            self._place.limits,
            Conversation(self._place.registry, items[:-1], recalled),
            calls,
            self._meter,
            self._spent,
            self._before,
            model,
            Sampling(temperature=self._request["temperature"], seed=self._request["seed"]),
        )
        if recalled and "memory" not in speaker.entries:
            await speaker.done(remembering(recalled))
        orchestrator = Orchestrator(
            self._context, speaker, self._place.agents, self._spent, self._before, question
        )
        team = self._request["mode"] == "team"
        timeout_s = self._spent.limits.timeout_s
        try:
            async with asyncio.timeout(max(0.0, timeout_s - self._before.elapsed_s)) as limit:
                text = await (orchestrator.team() if team else orchestrator.single())
        except TimeoutError:
            if not limit.expired():
                raise
            note = f"The limit of {timeout_s:g} s was reached."
            self._spent.reach("timeout_s", note)
            speaker.cut("timeout", note)
            text = self._cut_text(orchestrator)
        return await self._said(speaker, text)

    def _cut_text(self, orchestrator: Orchestrator) -> str:
        """What there is when time is up."""
        assert self._speaker is not None
        for step_id in ("close", "single"):
            entry = self._speaker.entries.get(step_id)
            if entry is not None and entry.text:
                return entry.text
        return wording.partial(orchestrator.results)

    async def _items(self, model: str) -> list[Item]:
        """The newest items of the session; the last one is the question."""
        assert self._context.run.thread_key is not None
        into: Room = await room(self._place.registry, model)
        _, items = await self._place.database.read(newest, self._context.run.thread_key, into)
        shown = [item for item in items if item.status != "in_progress"]
        while shown and not (shown[-1].role == "user" and shown[-1].run_id == self._context.run.id):
            shown.pop()
        return shown

    async def _recall(
        self, question: str, items: Sequence[Item], model: str
    ) -> list[Mapping[str, Any]]:
        if self._before.recalled is not None:
            return list(self._before.recalled)
        window = await self._place.registry.context_tokens(model)
        found = await recall(
            self._place.memory, self._context.run.owner_id, question, items, window
        )
        self._context.emit("recalled", {"items": found})
        return list(found)

    def _begun(self) -> dict[str, Any]:
        run = self._context.run
        assert run.thread_id is not None
        return {
            "session_id": str(UUID(run.thread_id)),
            "run_id": run.id,
            "mode": self._request["mode"],
            "model": self._request["model"],
        }

    async def _said(self, speaker: Speaker, text: str) -> dict[str, Any]:
        notes = self._spent.notes
        if notes:
            text = f"{text}\n\nThis answer is partial. " + " ".join(notes)
        assert self._first is not None
        used = await self._meter.since(self._first, self._request["model"])
        return {
            "text": text,
            "status": "incomplete" if notes else "completed",
            "limits_reached": self._spent.reached,
            "metrics": self._metrics(*used),
        }

    def _metrics(
        self,
        cpu_percent: float | None = None,
        memory_mb: float | None = None,
        measured: str | None = None,
    ) -> dict[str, Any]:
        speaker, before = self._speaker, self._before
        ttft_s = before.ttft_s
        if ttft_s is None and speaker is not None and speaker.first_token_s is not None:
            ttft_s = before.elapsed_s + speaker.first_token_s - self._began
        return metrics(
            () if speaker is None else speaker.entries.values(),
            total_s=before.elapsed_s + time.perf_counter() - self._began,
            ttft_s=ttft_s,
            cpu_percent=cpu_percent,
            memory_mb=memory_mb,
            measured=measured,
        )

    def _keep(self, answered: Mapping[str, Any]) -> None:
        """The answer becomes an item of the session, in the transaction that ends the run."""
        run = self._context.run
        assert run.thread_key is not None
        thread_key = run.thread_key
        item = NewItem(
            "message",
            answered["text"],
            role="assistant",
            id=new_id("msg"),
            run_id=run.id,
            token_count=estimate(answered["text"]),
        )

        def write(connection: Connection) -> None:
            store.add(connection, thread_key, [item])

        part, _ = store.added_to_held(item, now_ms())
        change = Change(write, [part], frozenset({str(item.id)}), adds=True)
        self._context.emit("answered", answered, change)

    def _outcome(self, answered: Mapping[str, Any]) -> Outcome:
        figures = answered["metrics"]
        prompt, completion = figures["prompt_tokens"], figures["completion_tokens"]
        usage = None
        if prompt is not None and completion is not None:
            usage = {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            }
        details = {"mode": self._request["mode"], "limits_reached": answered["limits_reached"]}
        if answered["status"] == "incomplete":
            return Outcome("incomplete", details, usage)
        return Outcome("completed", details, usage)

    def _log(self, status: str, figures: Mapping[str, Any], **more: Any) -> None:
        """One line for each ask; what was asked stands in it only where the settings say so."""
        run = self._context.run
        assert run.thread_id is not None
        if self._place.log_prompts:
            more["prompt"] = self._question
        names = ("prompt_tokens", "completion_tokens", "total_s", "cpu_percent", "memory_mb")
        _log.info(
            "ask",
            run_id=run.id,
            session_id=str(UUID(run.thread_id)),
            mode=self._request["mode"],
            model=self._request["model"],
            prompt_chars=self._request["prompt_chars"],
            calls=sum(of["calls"] for of in figures["agents"].values()),
            **{name: figures[name] for name in names},
            status=status,
            **more,
        )
