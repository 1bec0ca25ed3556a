"""Ollama's native chat format: requests out, lines in. No I/O.

Its OpenAI-compatible face would be less: only the native one takes ``num_ctx``, ``keep_alive``,
``think`` and a JSON schema as ``format``, and only it reports load, prompt and eval durations.
"""

import secrets
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
from novasystem.errors import InvalidRequest

__all__ = ["OPTIONS", "SAMPLING", "LineDecoder", "encode_request"]

SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "max_tokens": "num_predict",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repeat_penalty",
}
# Ollama drops an option that it does not know without a word, so only these are passed on.
OPTIONS = frozenset(
    {"num_ctx", "num_keep", "num_batch", "num_gpu", "num_thread", "repeat_last_n", "typical_p"}
)


def encode_request(request: GenerateRequest) -> dict[str, Any]:
    """The body of ``POST /api/chat``, streamed."""
    options: dict[str, Any] = {
        SAMPLING[name]: list(value) if name == "stop" else value
        for name, value in request.sampling.given().items()
    }
    options.update({name: request.options[name] for name in request.options if name in OPTIONS})
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "options": options,
        # By default a prompt that does not fit is cut, and an answer that does not fit drops the
        # beginning, both without a word.
        "truncate": False,
        "shift": False,
    }
    if "keep_alive" in request.options:
        body["keep_alive"] = request.options["keep_alive"]
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
    if request.json_output is not None:
        schema = request.json_output.schema
        body["format"] = "json" if schema is None else dict(schema)
    if request.think is not None:
        body["think"] = request.think
    return body


def _message(message: Message) -> dict[str, Any]:
    item: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        item["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": _object(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        item["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        item["tool_name"] = message.name
    return item


def _object(arguments: str) -> dict[str, Any]:
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        msg = f"The arguments of a tool call are not a JSON object: {arguments[:80]!r}."
        raise InvalidRequest(msg, param="messages")
    return value


class LineDecoder:
    """Turns the lines of one answer into events; ``done`` once the last one has come.

    ``tools``: whether tools were offered. Then Ollama swallows what looks like a call and is none
    (an unknown name, broken JSON): such an answer is empty, and a :class:`StreamFault`.
    """

    def __init__(self, *, tools: bool = False) -> None:
        self.done = False
        self._tools = tools
        self._said = False
        self._calls = 0

    def decode(self, frame: Frame, arrival: Arrival) -> list[Event]:
        """The events of one line; raises :class:`StreamFault`."""
        try:
            line = orjson.loads(frame.data)
            if line.get("error"):
                raise StreamFault(error_text(line), reported=True)
            message = line.get("message") or {}
            events: list[Event] = []
            if thinking := message.get("thinking"):
                events.append(ReasoningDelta(text_value(thinking), arrival))
            if text := message.get("content"):
                events.append(TextDelta(text_value(text), arrival))
            for call in message.get("tool_calls") or ():
                events.append(self._call(call, arrival))
            self._said = self._said or bool(events)
            if line.get("done"):
                events += self._end(line, arrival)
        except (
            orjson.JSONDecodeError,
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            if isinstance(error, StreamFault):
                raise
            shown = frame.data[:80].decode("utf-8", "replace")
            msg = f"a line has not the shape of an answer: {shown!r}"
            raise StreamFault(msg) from error
        return events or [Chunk(arrival)]

    def end(self) -> list[Event]:
        """Nothing more; raises :class:`StreamFault` where the last line never came."""
        if not self.done:
            msg = "the answer ended without its last line"
            raise StreamFault(msg)
        return []

    def _call(self, call: dict[str, Any], arrival: Arrival) -> ToolCallDelta:
        function = call["function"]
        arguments = function.get("arguments") or {}
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        index = self._calls
        self._calls += 1
        return ToolCallDelta(
            index=index,
            arguments=arguments,
            arrival=arrival,
            id=text_value(call.get("id") or f"call_{secrets.token_hex(12)}"),
            name=text_value(function["name"]),
        )

    def _end(self, line: dict[str, Any], arrival: Arrival) -> list[Event]:
        self.done = True
        reason: FinishReason = "length" if line.get("done_reason") == "length" else "stop"
        if self._calls:
            reason = "tool_calls"
        # The end token counts too: an answer of one token is empty by right.
        elif self._tools and not self._said and (line.get("eval_count") or 0) > 1:
            msg = "the model tried to call a tool in a way that Ollama could not read"
            raise StreamFault(msg)
        evaluated = count_value(line.get("prompt_eval_count"))
        generated = count_value(line.get("eval_count"))
        usage = Usage(
            prompt_tokens=evaluated,
            completion_tokens=generated,
            timings=ServerTimings(
                load_s=_seconds(line, "load_duration"),
                prefill_tokens=evaluated,
                prefill_s=_seconds(line, "prompt_eval_duration"),
                decode_tokens=generated,
                decode_s=_seconds(line, "eval_duration"),
                total_s=_seconds(line, "total_duration"),
            ),
            arrival=arrival,
        )
        return [usage, Finished(reason, arrival)]


def _seconds(line: dict[str, Any], name: str) -> float | None:
    value = line.get(name)
    return None if value is None else float(value) / 1e9
