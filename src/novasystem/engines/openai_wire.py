"""The chat-completions wire format as a client speaks it: requests out, chunks in. No I/O."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from novasystem.engines.events import (
    Arrival,
    Chunk,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    ServerTimings,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from novasystem.engines.http import error_text
from novasystem.engines.requests import GenerateRequest, Message
from novasystem.engines.sse import Frame
from novasystem.engines.stream import StreamFault

__all__ = ["ChunkDecoder", "encode_request"]

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    # vLLM and SGLang name these beside OpenAI's.
    "abort": "stop",
    "eos": "stop",
}


def encode_request(request: GenerateRequest, *, names: Mapping[str, str]) -> dict[str, Any]:
    """The body of ``POST /chat/completions``, streamed and with usage.

    ``names``: how this server calls a sampling parameter, where it differs.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for name, value in request.sampling.given().items():
        body[names.get(name, name)] = list(value) if name == "stop" else value
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                },
            }
            for tool in request.tools
        ]
        choice = request.tool_choice
        body["tool_choice"] = (
            {"type": "function", "function": {"name": choice.name}} if choice.name else choice.mode
        )
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.json_output is not None:
        body["response_format"] = (
            {"type": "json_object"}
            if request.json_output.schema is None
            else {
                "type": "json_schema",
                "json_schema": {
                    "name": request.json_output.name,
                    "schema": dict(request.json_output.schema),
                    "strict": True,
                },
            }
        )
    if request.think is not None:
        body["chat_template_kwargs"] = {"enable_thinking": request.think is not False}
    body.update(request.options)
    return body


def _message(message: Message) -> dict[str, Any]:
    item: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        item["content"] = message.content or None
        item["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        item["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        item["name"] = message.name
    return item


class ChunkDecoder:
    """Turns the frames of one answer into events.

    Usage may come in the chunk that finishes, in one of its own behind it, or never: so usage and
    the end are held back until :meth:`end`, which is due at ``[DONE]`` or the end of the stream.
    """

    def __init__(self) -> None:
        self.done = False
        self._finish: tuple[FinishReason, Arrival] | None = None
        self._usage: dict[str, Any] | None = None
        self._timings: ServerTimings | None = None
        self._last: Arrival | None = None
        self._calls: dict[int, str] = {}

    def decode(self, frame: Frame, arrival: Arrival) -> list[Event]:
        """The events of one frame; raises :class:`StreamFault`."""
        data = frame.data
        if data == b"[DONE]":
            self.done = True
            return []
        self._last = arrival
        try:
            chunk = orjson.loads(data)
            if frame.event == b"error":
                raise StreamFault(error_text(chunk), reported=True)
            choices = chunk.get("choices")
        except (orjson.JSONDecodeError, AttributeError) as error:
            if frame.event == b"error":
                raise StreamFault(error_text(data), reported=True) from error
            shown = data[:80].decode("utf-8", "replace")
            msg = f"a chunk is not a JSON object: {shown!r}"
            raise StreamFault(msg) from error
        if choices is None and "error" in chunk:
            raise StreamFault(error_text(chunk), reported=True)
        try:
            return self._chunk(chunk, choices, arrival)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            if isinstance(error, StreamFault):
                raise
            shown = data[:80].decode("utf-8", "replace")
            msg = f"a chunk has not the shape of one: {shown!r}"
            raise StreamFault(msg) from error

    def end(self) -> list[Event]:
        """Usage and the end; raises :class:`StreamFault` where the answer was not finished."""
        if self._finish is None or self._last is None:
            msg = "the answer ended without a finish reason"
            raise StreamFault(msg)
        events: list[Event] = []
        usage = self._usage or {}
        if self._usage is not None or self._timings is not None:
            events.append(
                Usage(
                    prompt_tokens=usage.get("prompt_tokens"),
                    completion_tokens=usage.get("completion_tokens"),
                    cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
                    reasoning_tokens=(usage.get("completion_tokens_details") or {}).get(
                        "reasoning_tokens"
                    ),
                    timings=self._timings,
                    arrival=self._last,
                )
            )
        reason, arrival = self._finish
        if reason == "stop" and self._calls:
            # Seen of several servers: calls, and then "stop".
            reason = "tool_calls"
        events.append(Finished(reason, arrival))
        return events

    def _chunk(self, chunk: dict[str, Any], choices: Any, arrival: Arrival) -> list[Event]:
        events: list[Event] = []
        if choices:
            choice = choices[0]
            delta = choice.get("delta") or {}
            if text := delta.get("content"):
                if not isinstance(text, str):
                    raise TypeError(text)
                events.append(TextDelta(text, arrival))
            if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
                events.insert(0, ReasoningDelta(str(reasoning), arrival))
            if calls := delta.get("tool_calls"):
                events += self._tool_calls(calls, arrival)
            if (finish := choice.get("finish_reason")) is not None:
                self._finish = (_FINISH.get(finish, "stop"), arrival)
        if usage := chunk.get("usage"):
            self._usage = dict(usage)
        if timings := chunk.get("timings"):
            self._timings = _llama_timings(timings)
        return events or [Chunk(arrival)]

    def _tool_calls(self, calls: list[dict[str, Any]], arrival: Arrival) -> Iterator[Event]:
        for position, call in enumerate(calls):
            index = int(call.get("index", position))
            function = call.get("function") or {}
            arguments = function.get("arguments") or ""
            if not isinstance(arguments, str):
                arguments = orjson.dumps(arguments).decode()
            known = index in self._calls
            if not known:
                self._calls[index] = call.get("id") or f"call_{index}"
            yield ToolCallDelta(
                index=index,
                arguments=arguments,
                arrival=arrival,
                id=None if known else self._calls[index],
                name=None if known else function["name"],
            )


def _llama_timings(timings: dict[str, Any]) -> ServerTimings:
    """llama.cpp's ``timings``: counts, and durations in milliseconds."""

    def seconds(name: str) -> float | None:
        value = timings.get(name)
        return None if value is None else float(value) / 1000

    return ServerTimings(
        prefill_tokens=timings.get("prompt_n"),
        prefill_s=seconds("prompt_ms"),
        decode_tokens=timings.get("predicted_n"),
        decode_s=seconds("predicted_ms"),
    )
