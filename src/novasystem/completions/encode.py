"""Events as OpenAI's chunks and completions. The whole answer is a fold over the stream."""

import secrets
import sys
import time
from array import array
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

import orjson

from novasystem.engines.events import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Sent,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from novasystem.engines.protocol import Model
from novasystem.engines.requests import Embeddings
from novasystem.errors import NovaError
from novasystem.http.errors import openai_error

__all__ = ["chunks", "completion", "embedding_list", "model_item", "stream_error"]

_DONE = b"data: [DONE]\n\n"


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(14)}"


async def chunks(
    events: AsyncGenerator[Event, None], model: str, *, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    """The stream as encoded SSE events.

    Everything in a chunk but its delta is the same throughout and is put together once: a token
    costs the encoding of its own text and a join.
    """
    usage: Usage | None = None
    frame = {"id": _new_id(), "object": "chat.completion.chunk", "created": int(time.time())}
    head = b"data: " + orjson.dumps({**frame, "model": model})[:-1] + b',"choices":['
    tail = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
    before = head + b'{"index":0,"delta":'
    after = b',"logprobs":null,"finish_reason":null}' + tail
    before_text = before + b'{"content":'
    after_text = b"}" + after
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                yield before_text + orjson.dumps(event.text) + after_text
            elif isinstance(event, ReasoningDelta):
                yield before + orjson.dumps({"reasoning_content": event.text}) + after
            elif isinstance(event, ToolCallDelta):
                yield before + orjson.dumps({"tool_calls": [_tool_delta(event)]}) + after
            elif isinstance(event, Usage):
                usage = event
            elif isinstance(event, Finished):
                reason = orjson.dumps(event.reason)
                yield before + b'{},"logprobs":null,"finish_reason":' + reason + b"}" + tail
            elif isinstance(event, Sent):
                # Not before the engine has accepted the request: a refusal is not a stream.
                yield before + b'{"role":"assistant","content":"","refusal":null}' + after
    if include_usage:
        yield head + b'],"usage":' + orjson.dumps(_usage(usage)) + b"}\n\n"
    yield _DONE


def _tool_delta(event: ToolCallDelta) -> dict[str, Any]:
    if event.id is None:
        return {"index": event.index, "function": {"arguments": event.arguments}}
    return {
        "index": event.index,
        "id": event.id,
        "type": "function",
        "function": {"name": event.name, "arguments": event.arguments},
    }


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }


async def completion(events: AsyncGenerator[Event, None], model: str) -> bytes:
    """The whole answer as one ``chat.completion``."""
    text: list[str] = []
    reasoning: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    usage: Usage | None = None
    finish: FinishReason = "stop"
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                text.append(event.text)
            elif isinstance(event, ReasoningDelta):
                reasoning.append(event.text)
            elif isinstance(event, ToolCallDelta):
                call = calls.setdefault(
                    event.index,
                    {
                        "id": event.id,
                        "type": "function",
                        "function": {"name": event.name, "arguments": ""},
                    },
                )
                call["function"]["arguments"] += event.arguments
            elif isinstance(event, Usage):
                usage = event
            elif isinstance(event, Finished):
                finish = event.reason
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(text) if text or not calls else None,
        "refusal": None,
    }
    if reasoning:
        message["reasoning_content"] = "".join(reasoning)
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return orjson.dumps(
        {
            "id": _new_id(),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [
                {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
            ],
            "usage": _usage(usage),
        }
    )


def stream_error(error: NovaError) -> bytes:
    """The last event of a stream that failed: the client raises ``APIError`` for it."""
    return b"data: " + orjson.dumps(openai_error(error)) + b"\n\n"


def embedding_list(
    embeddings: Embeddings, model: str, encoding: Literal["float", "base64"]
) -> bytes:
    """OpenAI's list of embeddings; base64 holds little-endian 32-bit floats."""

    def encode(vector: tuple[float, ...]) -> object:
        if encoding == "float":
            return vector
        floats = array("f", vector)
        if sys.byteorder == "big":
            floats.byteswap()
        return b64encode(floats.tobytes()).decode()

    tokens = embeddings.prompt_tokens or 0
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": encode(vector)}
                for index, vector in enumerate(embeddings.vectors)
            ],
            "model": model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def model_item(name: str, model: Model) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": model.created, "owned_by": model.engine}
