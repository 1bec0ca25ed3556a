"""Tool calls from a model whose template knows no tools, or whose engine enforces no choice.

The tools are described in the system message and the output is bound to a JSON schema whose
values are either one call or an answer; what comes back is turned into the same events as a native
call. The answer is held back until it is whole, since only then it is known which of the two it is.
"""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson

from novasystem.engines.events import Event, Finished, TextDelta, ToolCallDelta
from novasystem.engines.protocol import Capabilities
from novasystem.engines.requests import GenerateRequest, JsonOutput, Message, Tool
from novasystem.errors import EngineProtocolError, InvalidRequest, UnsupportedParameter

__all__ = ["generate_with_tools"]

Generate = Callable[[GenerateRequest], AsyncGenerator[Event, None]]


def generate_with_tools(
    engine: str, request: GenerateRequest, capabilities: Capabilities, generate: Generate
) -> AsyncGenerator[Event, None]:
    """``generate`` with tools made to work the way ``capabilities`` ask for.

    A forced call that an engine accepted and did not make is an ``EngineProtocolError``.
    """
    if not request.tools or request.tool_choice.mode == "none":
        return generate(replace(request, tools=()) if request.tools else request)
    forced = request.tool_choice.forced
    named = request.tool_choice.name
    if named is not None and all(tool.name != named for tool in request.tools):
        msg = f"'tool_choice' names '{named}', which is not among the tools."
        raise InvalidRequest(msg, param="tool_choice")
    one_only = request.parallel_tool_calls is False
    if capabilities.tools == "native" and (
        capabilities.tool_choice or not (forced or one_only or request.json_output)
    ):
        return _native(engine, request, generate)
    if not capabilities.json_schema:
        raise UnsupportedParameter(
            "tools",
            f"the model '{request.model}' knows no tools, and engine '{engine}' cannot constrain "
            "its output",
            hint="Use a model whose template has tools.",
        )
    if request.sampling.stop:
        raise UnsupportedParameter(
            "stop", f"'{request.model}' calls tools through constrained JSON, which it would cut"
        )
    return _constrained(engine, request, generate)


async def _native(
    engine: str, request: GenerateRequest, generate: Generate
) -> AsyncGenerator[Event, None]:
    """The engine's own calls, which are there, and of the named tool, where that was asked for."""
    forced, named = request.tool_choice.forced, request.tool_choice.name
    missing = forced
    async with aclosing(generate(request)) as events:
        async for event in events:
            if isinstance(event, ToolCallDelta):
                missing = False
                if named is not None and event.name not in {None, named}:
                    raise _ignored(engine)
            elif missing and isinstance(event, Finished) and event.reason != "length":
                raise _ignored(engine)
            yield event


def _ignored(engine: str) -> EngineProtocolError:
    return EngineProtocolError(
        engine,
        f"Engine '{engine}' accepted a required tool call and answered without one.",
        hint='Set tools = "constrained" for this engine in nova.toml.',
    )


def _constrain(request: GenerateRequest) -> GenerateRequest:
    """The same request without tools, its output bound to a call or an answer."""
    named = request.tool_choice.name
    tools = [tool for tool in request.tools if named is None or tool.name == named]
    shapes = [_call_schema(tool) for tool in tools]
    lines = [orjson.dumps(_description(tool)).decode() for tool in tools]
    rule = 'Answer with JSON only. To call a tool: {"name": …, "arguments": {…}}.'
    if not request.tool_choice.forced:
        answer: Any = {"type": "string"}
        if request.json_output is not None:
            answer = dict(request.json_output.schema or {"type": "object"})
        shapes.append(
            {
                "type": "object",
                "properties": {"answer": answer},
                "required": ["answer"],
                "additionalProperties": False,
            }
        )
        rule += ' To answer without a tool: {"answer": …}.'
    text = "\n".join(["Tools:", *lines, rule])
    return replace(
        request,
        messages=_with_system(text, tuple(_flattened(request.messages))),
        tools=(),
        parallel_tool_calls=None,
        json_output=JsonOutput(
            schema=shapes[0] if len(shapes) == 1 else {"anyOf": shapes}, name="call"
        ),
    )


def _call_schema(tool: Tool) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool.name},
            "arguments": dict(tool.parameters) or {"type": "object"},
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _description(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }


def _with_system(text: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if messages and messages[0].role == "system":
        first = replace(messages[0], content=f"{messages[0].content}\n\n{text}")
        return (first, *messages[1:])
    return (Message("system", text), *messages)


def _flattened(messages: tuple[Message, ...]) -> list[Message]:
    """Calls and their results as plain turns, since the template may know neither."""
    flat: list[Message] = []
    for message in messages:
        if message.role == "tool":
            flat.append(Message("user", f"Tool result: {message.content}"))
        elif message.tool_calls:
            calls = [
                f'{{"name": {orjson.dumps(call.name).decode()}, "arguments": {call.arguments}}}'
                for call in message.tool_calls
            ]
            flat.append(Message("assistant", "\n".join([message.content, *calls]).strip()))
        else:
            flat.append(message)
    return flat


async def _constrained(
    engine: str, request: GenerateRequest, generate: Generate
) -> AsyncGenerator[Event, None]:
    parts: list[TextDelta] = []
    async with aclosing(generate(_constrain(request))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                parts.append(event)
            elif isinstance(event, Finished):
                answer = _answer(engine, request, parts, event)
                if answer is not None:
                    yield answer
                called = isinstance(answer, ToolCallDelta)
                yield Finished("tool_calls" if called else event.reason, event.arrival)
            else:
                yield event


def _answer(
    engine: str, request: GenerateRequest, parts: list[TextDelta], finished: Finished
) -> TextDelta | ToolCallDelta | None:
    text = "".join(part.text for part in parts)
    try:
        value = orjson.loads(text)
        if not request.tool_choice.forced and "answer" in value:
            answer = value["answer"]
            said = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
            return TextDelta(said, parts[-1].arrival) if said else None
        name, arguments = value["name"], value["arguments"]
        wanted = request.tool_choice.name
        if name not in ([tool.name for tool in request.tools] if wanted is None else [wanted]):
            raise KeyError(name)
        if not isinstance(arguments, dict):
            raise TypeError(arguments)
        return ToolCallDelta(
            index=0,
            arguments=orjson.dumps(arguments).decode(),
            arrival=parts[-1].arrival,
            id=f"call_{secrets.token_hex(12)}",
            name=name,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        if finished.reason == "length":
            # Cut by max_tokens: the caller is told so and sees what there was.
            return TextDelta(text, parts[-1].arrival) if parts else None
        raise EngineProtocolError(
            engine,
            f"Engine '{engine}' did not keep to the JSON schema that it was given.",
            hint="Use a model or an engine that supports structured output.",
        ) from error
