"""What an assistant's run executes: the model speaks, and either the run ends or calls wait.

Beside a turn's own events the log has::

    answered  {reason, usage, left_out_items}    the model is done; what it said stands before
    counted   {item_id, tokens}                  a message's tokens, by the engine's own count
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from novasystem.assistants.requests import Asked, to_asked
from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest, Sampling, TimeLimits, ToolChoice
from novasystem.runs import store as run_store
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.records import Event, Outcome
from novasystem.storage.database import Database
from novasystem.threads.records import Item
from novasystem.turns.answer import answer
from novasystem.turns.asking import ask
from novasystem.turns.fitting import PER_MESSAGE, Fitted
from novasystem.turns.kept import settle
from novasystem.turns.tokens import count, note
from novasystem.turns.turn import Answer
from novasystem.turns.window import look_back

__all__ = ["KIND", "assistant_kind"]

KIND = "assistant"
_COUNTED = 4
Usage = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Before:
    """What earlier executions of the run have left in its log.

    ``used``: by generations that are over. ``over``: the last ``answered``, where nothing has
    come of it yet, and ``calls``: the ``calls_asked`` that stands before it.
    """

    used: Usage | None = None
    answers: int = 0
    over: Mapping[str, Any] | None = None
    calls: Mapping[str, Any] | None = None


def _look(events: Sequence[Event]) -> _Before:
    used: Usage | None = None
    answers = 0
    over = calls = None
    for event in events:
        if event.type == "calls_asked":
            calls = event.data
        elif event.type == "answered":
            used = event.data["usage"] if not answers else _sum(used, event.data["usage"])
            answers += 1
            over = event.data
        elif event.type in {"calls_ended", "calls_dropped"}:
            calls = None
            if event.type == "calls_ended":
                over = None
    return _Before(used, answers, over, calls)


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    """``None``: an engine did not say, and so nobody knows the whole."""
    if one is None or other is None:
        return None
    return {name: one[name] + other[name] for name in one}


def assistant_kind(database: Database, registry: Registry, limits: TimeLimits) -> Kind:
    """A run that is interrupted is taken up again: what it had begun to say is said anew."""

    async def execute(context: RunContext) -> Outcome:
        return await _Execution(context, database, registry, limits).carry_out()

    return Kind(execute, settle, resumes=True)


class _Execution:
    """One execution of one run, from its lease to its outcome."""

    def __init__(
        self, context: RunContext, database: Database, registry: Registry, limits: TimeLimits
    ) -> None:
        self._context = context
        self._database = database
        self._registry = registry
        self._limits = limits
        self._request = context.run.request

    async def carry_out(self) -> Outcome:
        before = _Before()
        if self._context.run.fence > 1:
            before = _look(await self._context.recorded())
        if before.over is not None:
            # It was broken off between the answer and its end: what was said is not said twice.
            return self._outcome(before.over, before.calls, before.used)
        asked = to_asked(self._request)
        answer_left = self._left("max_completion_tokens", before, "completion_tokens")
        if answer_left is not None and answer_left <= 0:
            return _incomplete("max_completion_tokens", 0, before.used)
        shown = await self._shown(asked, before, answer_left)
        if isinstance(shown, Outcome):
            return shown
        request = self._asked(asked, answer_left, before)
        instructions = self._request["instructions"] or None
        begun = await ask(self._context, self._registry, request, shown, instructions)
        async with aclosing(begun.events), self._counting(begun.shown.items):
            said = await answer(self._context, self._registry, request, begun.events)
            # Nothing waits in between: one batch holds what was said and that this was all.
            over = {"reason": said.reason, "usage": said.usage, **begun.details()}
            self._context.emit("answered", over)
            if said.reason == "length" and said.step_id is not None:
                self._drop(said.step_id)
        used = said.usage if not before.answers else _sum(before.used, said.usage)
        return self._outcome(over, _calls(said), used)

    def _left(self, limit: str, before: _Before, counted: str) -> int | None:
        """What is left of a limit that stands over all generations of the run."""
        allowed: int | None = self._request[limit]
        if allowed is None or before.used is None:
            return allowed
        return allowed - before.used[counted]

    async def _shown(
        self, asked: Asked, before: _Before, answer_left: int | None
    ) -> Fitted | Outcome:
        """The part of the thread that the model sees; an outcome where the limit is too low."""
        run = self._context.run
        assert run.thread_key is not None
        # Tools are told to the model as instructions are, and cost as much.
        fixed = self._request["instructions"]
        if asked.tools:
            fixed += orjson.dumps(self._request["tools"]).decode()
        prompt_left = self._left("max_prompt_tokens", before, "prompt_tokens")
        fixed_cost = 0
        if prompt_left is not None:
            if fixed:
                tokens, _ = await count(self._registry, self._request["model"], fixed)
                fixed_cost = PER_MESSAGE + tokens
            if prompt_left <= fixed_cost:
                return _incomplete("max_prompt_tokens", 0, before.used)
        shown = await look_back(
            self._database,
            self._registry,
            run.thread_key,
            self._request["model"],
            instructions=fixed or None,
            answer_tokens=answer_left,
            prompt_tokens=prompt_left,
            last_messages=self._request["last_messages"],
        )
        if prompt_left is not None and shown.tokens + fixed_cost > prompt_left:
            return _incomplete("max_prompt_tokens", shown.left_out, before.used)
        return shown

    def _asked(self, asked: Asked, answer_left: int | None, before: _Before) -> GenerateRequest:
        request = self._request
        choice = asked.tool_choice
        if choice.forced and before.answers:
            # It was obeyed: forced for ever, the model could never answer.
            choice = ToolChoice()
        return GenerateRequest(
            request["model"],
            (),
            sampling=Sampling(
                temperature=request["temperature"],
                top_p=request["top_p"],
                max_tokens=answer_left,
            ),
            tools=asked.tools,
            tool_choice=choice,
            parallel_tool_calls=request["parallel_tool_calls"] if asked.tools else None,
            json_output=asked.json_output,
            limits=self._limits,
        )

    @asynccontextmanager
    async def _counting(self, items: Sequence[Item]) -> AsyncIterator[None]:
        """Have the users' newest messages counted meanwhile; nobody waits for that."""
        users = [item for item in items if item.role == "user"][-_COUNTED:]
        unsure = [item for item in users if not item.token_count_exact]
        model = self._request["model"]
        counting = {
            asyncio.create_task(count(self._registry, model, item.content)): item for item in unsure
        }
        try:
            yield
            for task, item in counting.items():
                if task.done() and not task.cancelled() and task.exception() is None:
                    self._note(item, *task.result())
        finally:
            for task in counting:
                task.cancel()

    def _note(self, item: Item, tokens: int, exact: bool) -> None:
        if exact:
            note(self._context, item, tokens)

    def _drop(self, step_id: str) -> None:
        """Calls that were cut off in mid-sentence are not made."""
        self._context.emit(
            "calls_dropped",
            {"step_id": step_id},
            lambda connection: run_store.end_step(connection, step_id, "cancelled"),
        )

    def _outcome(
        self, over: Mapping[str, Any], calls: Mapping[str, Any] | None, used: Usage | None
    ) -> Outcome:
        details = {"left_out_items": over["left_out_items"]}
        if over["reason"] == "length":
            return Outcome("incomplete", {**details, "reason": "max_completion_tokens"}, used)
        if calls is not None:
            asked = {name: calls.get(name) for name in ("step_id", "tool_calls", "step_usage")}
            return Outcome("requires_action", {**details, **asked}, used)
        return Outcome("completed", details, used)


def _calls(said: Answer) -> Mapping[str, Any] | None:
    """What the model would have called, and in which step."""
    if not said.calls:
        return None
    shown = [
        {"id": call.id, "name": call.name, "arguments": call.arguments, "output": None}
        for call in said.calls
    ]
    # What was said beside the calls has a step of its own, which bears the usage.
    usage = None if said.text else said.usage
    return {"step_id": said.step_id, "tool_calls": shown, "step_usage": usage}


def _incomplete(reason: str, left_out: int, used: Usage | None) -> Outcome:
    return Outcome("incomplete", {"left_out_items": left_out, "reason": reason}, used)
