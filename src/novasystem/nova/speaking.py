"""Asks one agent: its words as they come, its JSON checked, its calls of tools made."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from novasystem.engines.events import TextDelta
from novasystem.engines.registry import Registry
from novasystem.engines.requests import (
    GenerateRequest,
    JsonOutput,
    Message,
    Sampling,
    TimeLimits,
    Tool,
    ToolCall,
)
from novasystem.errors import ContextLengthExceeded, FencedOut, NovaError, StorageUnavailable
from novasystem.nova.agents import Agent
from novasystem.nova.calling import MAX_TURNS, Calls, gives_up, sendable
from novasystem.nova.checking import checker
from novasystem.nova.conversation import Conversation
from novasystem.nova.entries import Entry
from novasystem.nova.hearing import Heard
from novasystem.nova.limits import Spent
from novasystem.nova.meter import Meter
from novasystem.nova.progress import Progress
from novasystem.nova.tasks import Task, Work, begun
from novasystem.runs.context import RunContext

__all__ = ["Speaker"]

_ATTEMPTS = 3
_HALVINGS = 4
_RETRY_S = 1.0


class Speaker:
    """Every agent of one execution speaks through this.

    ``model``: of the ask. ``sampling``: what the ask says of temperature and seed.
    """

    def __init__(
        self,
        context: RunContext,
        registry: Registry,
        limits: TimeLimits,
        conversation: Conversation,
        calls: Calls,
        meter: Meter,
        spent: Spent,
        before: Progress,
        model: str,
        sampling: Sampling,
    ) -> None:
        self._context = context
        self._registry = registry
        self._limits = limits
        self._conversation = conversation
        self._calls = calls
        self._meter = meter
        self._spent = spent
        self._before = before
        self._model = model
        self._sampling = sampling
        self._working: dict[str, Work] = {}
        self.entries: dict[str, Entry] = dict(before.entries)
        """All that are done, in the order of their end."""
        self.first_token_s: float | None = None
        """When the first token of this execution came, on ``perf_counter``."""

    async def speak(self, task: Task) -> Entry:
        """The entry of the task, stored; the former one where it was done before.

        What an engine or a tool could not do stands in the entry's error. Raises what concerns
        the run itself.
        """
        done = self.recorded(task.step_id)
        if done is not None:
            return done
        work = Work(task, task.agent.model or self._model)
        index = len(self.entries) + len(self._working)
        self._context.emit("step_begun", begun(task, work.model, index))
        self._working[task.step_id] = work
        entry = await self._carried_out(work)
        del self._working[task.step_id]
        return await self.done(entry)

    def recorded(self, step_id: str) -> Entry | None:
        """What was done before; it is paid for once it is its turn, as it was then."""
        done = self.entries.get(step_id)
        if done is not None:
            self._spent.add(done)
        return done

    async def done(self, entry: Entry) -> Entry:
        """Keep an entry; returns once it is stored, however long that takes."""
        self._note(entry)
        while True:
            try:
                await self._context.commit()
                return entry
            except StorageUnavailable:
                # The ask's own limit of time ends this, if nothing else does.
                await asyncio.sleep(_RETRY_S)

    def _note(self, entry: Entry) -> None:
        self.entries[entry.step_id] = entry
        self._spent.add(entry)
        self._context.emit("step_done", {"entry": entry.shown()})

    def cut(self, code: str, message: str) -> None:
        """End all that is open, keeping what was said: a limit was reached."""
        for work in list(self._working.values()):
            error = {"code": code, "message": message}
            self._note(work.entry(status="cancelled", error=error))
        self._working.clear()

    async def _carried_out(self, work: Work) -> Entry:
        agent = work.task.agent
        try:
            began = await self._meter.read(work.model)
            try:
                async with asyncio.timeout(agent.timeout_s) as limit:
                    entry = await (self._filled(work) if agent.schema else self._said(work))
            except TimeoutError:
                if not limit.expired():
                    raise
                message = f"The agent '{agent.name}' was not done within {agent.timeout_s:g} s."
                entry = work.entry(
                    status="failed", error={"code": "agent_timeout", "message": message}
                )
            cpu_percent, memory_mb, _ = await self._meter.since(began, work.model)
            return replace(entry, cpu_percent=cpu_percent, memory_mb=memory_mb)
        except (FencedOut, StorageUnavailable):
            raise
        except NovaError as error:
            said = {"code": error.code, "message": str(error)}
            return work.entry(status="failed", error=said)

    async def _filled(self, work: Work) -> Entry:
        """An agent that fills a schema: asked again, twice at most, for what does not fit."""
        agent = work.task.agent
        assert agent.schema is not None
        check = checker(agent.schema)
        more: tuple[Message, ...] = ()
        error = code = ""
        for attempt in range(_ATTEMPTS):
            said = await self._generate(work, more, attempt=attempt)
            error, data = check(said.text)
            if data is not None:
                work.data = data
                return work.entry()
            code = "malformed_output"
            if said.reason == "length":
                error, code = f"it was cut off: {error}", "max_tokens"
            work.attempts.append({"text": said.text, "error": error})
            if attempt + 1 < _ATTEMPTS:
                self._context.emit("again", {"step_id": work.task.step_id, "reason": error})
                work.text.clear()
                # Without its words: a small model would only repeat them.
                more = (
                    Message("assistant", "{}"),
                    Message("user", f"That was not valid: {error} {work.task.work}"),
                )
        message = f"The agent '{agent.name}' gave no valid JSON, asked {_ATTEMPTS} times: {error}"
        return work.entry(status="failed", error={"code": code, "message": message})

    async def _said(self, work: Work) -> Entry:
        """An agent that answers in words, and calls tools before."""
        task = work.task
        tools = await self._calls.offered(task.agent, work.model, task.title or task.work)
        work.offered = [tool.name for tool in tools]
        more: tuple[Message, ...] = ()
        turn = 0
        for told in self._before.turns.get(task.step_id, ()):
            more += await self._called(work, turn, told)
            turn += 1
        while True:
            tools = tools if turn < MAX_TURNS and not gives_up(work.tools) else ()
            said = await self._generate(work, more, tools)
            if not said.calls:
                break
            told = {
                "step_id": task.step_id,
                "turn": turn,
                "text": said.text,
                "calls": [
                    {"id": c.id, "name": c.name, "arguments": c.arguments} for c in said.calls
                ],
            }
            self._context.emit("calls", told)
            work.text.clear()
            more += await self._called(work, turn, told)
            turn += 1
        if said.reason == "length":
            return work.entry(
                status="incomplete",
                error={"code": "max_tokens", "message": "It was cut off at its limit of tokens."},
            )
        return work.entry()

    async def _called(self, work: Work, turn: int, told: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages that stand for calls and their results."""
        asked = tuple(ToolCall(c["id"], c["name"], c["arguments"]) for c in told["calls"])
        said = tuple(map(sendable, asked))
        messages = [Message("assistant", told["text"], tool_calls=said)]
        for index, call in enumerate(asked):
            result, text = await self._calls.make(
                work.task.step_id, f"{turn}.{index}", call, work.model
            )
            work.tools.append(result)
            messages.append(Message("tool", text, tool_call_id=call.id, name=call.name))
        return tuple(messages)

    async def _generate(
        self,
        work: Work,
        more: tuple[Message, ...],
        tools: tuple[Tool, ...] = (),
        *,
        attempt: int = 0,
    ) -> Heard:
        """One answer; where the engine finds it too long, with less and less of the session."""
        agent, model = work.task.agent, work.model
        besides = "".join(message.content for message in more)
        if tools:
            besides += "".join(f"{tool.description} {dict(tool.parameters)}" for tool in tools)
        for halved in range(_HALVINGS):
            messages = await self._conversation.messages(
                agent, model, work.task.work, besides=besides, halved=halved
            )
            request = GenerateRequest(
                model,
                (*messages, *more),
                sampling=self._sampled(work, attempt),
                tools=tools,
                json_output=await self._bound(agent, model),
                limits=self._limits,
            )
            try:
                return await self._read(work, request)
            except ContextLengthExceeded:
                if halved == _HALVINGS - 1 or len(messages) <= 2:
                    raise
        raise AssertionError

    def _sampled(self, work: Work, attempt: int) -> Sampling:
        agent, given, left = work.task.agent, self._sampling, self._spent.tokens_left()
        limits = [agent.max_tokens, self._spent.limits.max_tokens]
        limits.append(None if left is None else left - work.spent)
        return Sampling(
            temperature=agent.temperature if given.temperature is None else given.temperature,
            # The same words again would be no second try.
            seed=None if given.seed is None else given.seed + attempt,
            max_tokens=max(1, min(limit for limit in limits if limit is not None)),
        )

    async def _bound(self, agent: Agent, model: str) -> JsonOutput | None:
        """What binds the output, where the engine has a grammar; what it says is checked anyway."""
        if agent.schema is None or not (await self._registry.capabilities(model)).json_schema:
            return None
        return JsonOutput(agent.schema, agent.name)

    async def _read(self, work: Work, request: GenerateRequest) -> Heard:
        said = Heard()
        step_id = work.task.step_id
        try:
            async with aclosing(self._registry.generate(request)) as events:
                async for event in events:
                    said.take(event)
                    if not isinstance(event, TextDelta):
                        continue
                    if work.first_s is None:
                        now = time.perf_counter()
                        work.first_s = round(now - work.began_s, 4)
                        if self.first_token_s is None:
                            self.first_token_s = now
                    work.text.append(event.text)
                    self._context.emit("token", {"step_id": step_id, "text": event.text})
        except BaseException:
            # What was read and said is paid for all the same, and nobody says how much it was.
            if said.came:
                work.count(said.usage, said.text)
            raise
        work.count(said.usage, said.text)
        return said
