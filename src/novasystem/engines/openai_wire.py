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
from novasystem.engines.stream import StreamFault, count_value, text_value

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
        self._usage: tuple[int | None, int | None, int | None, int | None] | None = None
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
        if chunk.get("error") or chunk.get("object") == "error":
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
        if self._usage or self._timings is not None:
            prompt, completion, cached, reasoning = self._usage or (None, None, None, None)
            events.append(
                Usage(
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                    cached_tokens=cached,
                    reasoning_tokens=reasoning,
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
            if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
                events.append(ReasoningDelta(text_value(reasoning), arrival))
            if text := delta.get("content"):
                events.append(TextDelta(text_value(text), arrival))
            if calls := delta.get("tool_calls"):
                events += self._tool_calls(calls, arrival)
            if finish := choice.get("finish_reason"):
                if finish == "error":
                    msg = "the generation failed, and the engine does not say why"
                    raise StreamFault(msg, reported=True)
                self._finish = (_FINISH.get(finish, "stop"), arrival)
        if usage := chunk.get("usage"):
            self._usage = (
                count_value(usage.get("prompt_tokens")),
                count_value(usage.get("completion_tokens")),
                count_value((usage.get("prompt_tokens_details") or {}).get("cached_tokens")),
                count_value((usage.get("completion_tokens_details") or {}).get("reasoning_tokens")),
            )
        if timings := chunk.get("timings"):
            self._timings = _llama_timings(timings)
        return events or [Chunk(arrival)]

    def _tool_calls(self, calls: list[dict[str, Any]], arrival: Arrival) -> Iterator[Event]:
        for call in calls:
            index = self._index(call)
            function = call.get("function") or {}
            arguments = function.get("arguments") or ""
            if not isinstance(arguments, str):
                arguments = orjson.dumps(arguments).decode()
            known = index in self._calls
            if not known:
                self._calls[index] = text_value(call.get("id") or f"call_{index}")
            yield ToolCallDelta(
                index=index,
                arguments=arguments,
                arrival=arrival,
                id=None if known else self._calls[index],
                name=None if known else text_value(function["name"]),
            )

    def _index(self, call: dict[str, Any]) -> int:
        """Which call a piece belongs to; some servers do not number them."""
        index = call.get("index")
        if index is not None:
            return int(index)
        own = call.get("id")
        for known, call_id in self._calls.items():
            if call_id == own:
                return known
        begins = bool(own or (call.get("function") or {}).get("name"))
        return max(self._calls, default=-1) + (begins or not self._calls)


def _llama_timings(timings: dict[str, Any]) -> ServerTimings:
    """llama.cpp's ``timings``: counts, and durations in milliseconds."""

    def seconds(name: str) -> float | None:
        value = timings.get(name)
        return None if value is None else float(value) / 1000

    return ServerTimings(
        prefill_tokens=count_value(timings.get("prompt_n")),
        prefill_s=seconds("prompt_ms"),
        decode_tokens=count_value(timings.get("predicted_n")),
        decode_s=seconds("predicted_ms"),
    )
