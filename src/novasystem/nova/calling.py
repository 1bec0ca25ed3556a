"""The calls of tools that agents ask for: each is recorded before it is made."""

import re
import time
from typing import Any

import orjson

from novasystem.engines.registry import Registry
from novasystem.engines.requests import Tool as EngineTool
from novasystem.engines.requests import ToolCall
from novasystem.errors import FencedOut, StorageUnavailable, ToolFailed
from novasystem.nova.agents import Agent
from novasystem.nova.conversation import shortened
from novasystem.nova.progress import Progress, shown_tool
from novasystem.nova.tools import Asker, Tools
from novasystem.runs.context import RunContext
from novasystem.turns.fitting import estimate
from novasystem.unexpected import as_nova_error

__all__ = ["MAX_TURNS", "Calls"]

MAX_TURNS = 6
"""How often one agent may ask for tools before it has to answer."""
_WINDOW_SHARE = 4
_MOST_CHARS = 20_000


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
        """What the agent may call: of those that it may use, as many as a quarter of the model's
        window holds; those that share words with its task come first."""
        if agent.tools == ():
            return ()
        capable = await self._registry.capabilities(model)
        if capable.tools == "constrained" and not capable.json_schema:
            return ()
        known = await self._tools.all()
        allowed = [t for name, t in known.items() if agent.tools is None or name in agent.tools]
        words = _words(task)
        allowed.sort(key=lambda tool: -len(words & _words(f"{tool.name} {tool.description}")))
        window = await self._registry.context_tokens(model)
        left = None if window is None else window // _WINDOW_SHARE
        offered: list[EngineTool] = []
        for tool in allowed:
            shown = EngineTool(tool.name, tool.description, tool.parameters)
            if left is not None:
                left -= estimate(
                    tool.name + tool.description + orjson.dumps(dict(tool.parameters)).decode()
                )
                if left < 0:
                    break
            offered.append(shown)
        return tuple(offered)

    async def make(self, step_id: str, number: str, call: ToolCall) -> tuple[dict[str, Any], str]:
        """What the chain shows of the call, and what the model is told; never made twice.

        ``number``: of the call in its step. What went wrong is told to the model, which may do
        something else.
        """
        told = self._before.tools.get(step_id, {}).get(number)
        if told is None:
            told = await self._made(step_id, number, call)
            self._context.emit("tool", told)
        result = shown_tool(told)
        text = f"error: {told['error']['message']}" if "error" in told else _text(told["output"])
        return result, shortened(text, await self._chars())

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

    async def _chars(self) -> int:
        window = await self._registry.context_tokens(self._context.run.request["model"])
        return _MOST_CHARS if window is None else min(_MOST_CHARS, max(200, window * 3 // 4))


def _words(text: str) -> set[str]:
    return {word for word in re.split(r"[\W_]+", text.casefold()) if len(word) > 2}


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
