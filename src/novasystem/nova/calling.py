"""The calls of tools that agents ask for: each is recorded before it is made."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from novasystem.engines.registry import Registry
from novasystem.engines.requests import Tool as EngineTool
from novasystem.engines.requests import ToolCall
from novasystem.errors import FencedOut, StorageUnavailable, ToolFailed
from novasystem.nova.agents import Agent
from novasystem.nova.conversation import shortened
from novasystem.nova.progress import Progress, shown_tool
from novasystem.nova.tools import Asker, Tool, Tools
from novasystem.runs.context import RunContext
from novasystem.turns.fitting import estimate
from novasystem.unexpected import as_nova_error

__all__ = ["MAX_TURNS", "Calls", "gives_up", "sendable"]

MAX_TURNS = 6
"""How often one agent may ask for tools before it has to answer."""
_WINDOW_SHARE = 4
_MOST_CHARS = 20_000
_STEM = 6
_FAILED_CALLS = 3
_COMMON = {"and", "are", "can", "for", "from", "has", "how", "its", "not", "such", "that",
           "the", "this", "was", "were", "what", "when", "where", "which", "who", "with",
           "you", "your"}  # fmt: skip


class Calls:
    """The tools of one execution."""

    def __init__(
        self, context: RunContext, registry: Registry, tools: Tools, before: Progress
    ) -> None:
        self._context = context
        self._registry = registry
        self._tools = tools
        self._before = before

    async def offered(self, agent: Agent, model: str, task: str) -> tuple[EngineTool, ...]:
        """What the agent may call for ``task``, a step or a question.

        All that it may use, where they take no more than a quarter of the model's window; else
        those that have to do with the task, the most alike first, as far as they fit. A small
        model that is offered what it does not need calls it all the same.
        """
        if agent.tools == ():
            return ()
        capable = await self._registry.capabilities(model)
        if capable.tools == "constrained" and not capable.json_schema:
            return ()
        known = await self._tools.all()
        words = _words(task)
        allowed = sorted(
            (t for name, t in known.items() if agent.tools is None or name in agent.tools),
            key=lambda tool: -_alike(words, tool),
        )
        window = await self._registry.context_tokens(model)
        shown = [EngineTool(t.name, t.description, t.parameters) for t in allowed]
        if window is None or sum(map(_cost, shown)) <= window // _WINDOW_SHARE:
            return tuple(shown)
        left = window // _WINDOW_SHARE
        offered: list[EngineTool] = []
        for tool, one in zip(allowed, shown, strict=True):
            left -= _cost(one)
            if left < 0 or not _alike(words, tool):
                break
            offered.append(one)
        return tuple(offered)

    async def make(
        self, step_id: str, number: str, call: ToolCall, model: str
    ) -> tuple[dict[str, Any], str]:
        """What the chain shows of the call, and what the ``model`` is told; never made twice.

        ``number``: of the call in its step. What went wrong is told to the model, which may do
        something else.
        """
        told = self._before.tools.get(step_id, {}).get(number)
        if told is None:
            told = await self._made(step_id, number, call)
            self._context.emit("tool", told)
        result = shown_tool(told)
        text = f"error: {told['error']['message']}" if "error" in told else _text(told["output"])
        return result, shortened(text, await self._chars(model))

    async def _made(self, step_id: str, number: str, call: ToolCall) -> dict[str, Any]:
        began = time.perf_counter()
        told: dict[str, Any] = {"step_id": step_id, "call": number, "name": call.name}
        arguments: Any = call.arguments
        try:
            arguments = _arguments(call)
            told["output"] = await self._recorded(step_id, number, call.name, arguments)
        except (FencedOut, StorageUnavailable):
            raise
        except Exception as error:
            said = as_nova_error(error)
            told["error"] = {"code": said.code, "message": str(said)}
        told["arguments"] = arguments
        told["seconds"] = round(time.perf_counter() - began, 4)
        return told

    async def _recorded(
        self, step_id: str, number: str, name: str, arguments: dict[str, Any]
    ) -> Any:
        run = self._context.run
        assert run.thread_key is not None
        asker = Asker(run.owner_id, run.thread_key, run.id)
        known = (await self._tools.all()).get(name)
        return await self._context.call(
            f"{step_id}/{number}",
            {"tool": name, "arguments": arguments, "step_id": step_id},
            lambda: self._tools.call(name, arguments, asker),
            repeatable=known is not None and known.repeatable,
        )

    async def _chars(self, model: str) -> int:
        window = await self._registry.context_tokens(model)
        return _MOST_CHARS if window is None else min(_MOST_CHARS, max(200, window * 3 // 4))


def _cost(tool: EngineTool) -> int:
    """Tokens that a template takes to describe the tool, estimated."""
    function = {"name": tool.name, "description": tool.description}
    shown = {"type": "function", "function": {**function, "parameters": dict(tool.parameters)}}
    return estimate(orjson.dumps(shown, default=str).decode())


def _alike(words: set[str], tool: Tool) -> int:
    return len(words & _words(f"{tool.name} {tool.description}"))


def _words(text: str) -> set[str]:
    """The beginnings of its words, and whether there are numbers in it."""
    found = re.split(r"[\W_]+", text.casefold())
    words = {word[:_STEM] for word in found if len(word) > 2 and not word.isdigit()}
    return words - _COMMON | ({"0"} if any(word.isdigit() for word in found) else set())


def gives_up(results: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an agent's last calls all failed: it has to answer with what it has."""
    last = results[-_FAILED_CALLS:]
    return len(last) == _FAILED_CALLS and all("error" in one for one in last)


def sendable(call: ToolCall) -> ToolCall:
    """The call as an engine can be told of it: arguments that are no JSON would be refused."""
    try:
        _arguments(call)
    except ToolFailed:
        return replace(call, arguments="{}")
    return call


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        value = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError as error:
        raise ToolFailed(call.name, f"its arguments are no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ToolFailed(call.name, "its arguments are no JSON object.")
    return value


def _text(output: Any) -> str:
    return output if isinstance(output, str) else orjson.dumps(output, default=str).decode()
