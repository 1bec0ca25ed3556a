"""Answers of a scripted server as lists of steps, so that a test can put a fault at any place.

Everything here is pure: bytes and steps in, steps out. An answer is a list like any other: insert
``Sleep(0.2)`` or ``Close()``, drop the last step, or bend the whole with ``cut`` and ``resliced``.
"""

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

__all__ = [
    "Close",
    "Hold",
    "Reset",
    "Send",
    "Sleep",
    "Stall",
    "Step",
    "chunked",
    "cut",
    "head",
    "json_answer",
    "last_chunk",
    "ndjson",
    "ollama_stream",
    "openai_chunk",
    "openai_stream",
    "resliced",
    "sse",
    "stream",
]


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes in one write, handed to the kernel in full before the next step."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait. The schedule is absolute from the request's arrival: delays do not add up."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Say nothing until the test sets this: for what must happen before the rest comes."""

    until: threading.Event


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection in order (FIN); what was sent still arrives."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection (RST); the client's next read fails."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Keep the connection open and say nothing until the client leaves."""


Step = Send | Sleep | Hold | Close | Reset | Stall


def head(
    status: int = 200,
    content_type: str = "application/json",
    *,
    length: int | None = None,
    keep_alive: bool = True,
    extra: Mapping[str, str] | None = None,
) -> Send:
    """Status line and headers. Without a length the body comes in chunks, if the connection is
    kept alive, and otherwise ends where the connection ends."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-type: {content_type}"]
    if length is not None:
        lines.append(f"content-length: {length}")
    elif keep_alive:
        lines.append("transfer-encoding: chunked")
    if not keep_alive:
        lines.append("connection: close")
    lines += [f"{name}: {value}" for name, value in (extra or {}).items()]
    return Send("\r\n".join([*lines, "", ""]).encode())


def json_answer(
    status: int, body: object, *, keep_alive: bool = True, extra: Mapping[str, str] | None = None
) -> list[Step]:
    """A whole answer in one write."""
    data = _json(body)
    opening = head(status, length=len(data), keep_alive=keep_alive, extra=extra)
    steps: list[Step] = [Send(opening.data + data)]
    return steps if keep_alive else [*steps, Close()]


def chunked(data: bytes) -> Send:
    """One chunk of a body in HTTP's chunked encoding."""
    return Send(b"%x\r\n%s\r\n" % (len(data), data))


def last_chunk() -> Send:
    """The end of a body in chunked encoding; the connection can be used again."""
    return Send(b"0\r\n\r\n")


def stream(
    pieces: Iterable[bytes],
    *,
    content_type: str = "text/event-stream",
    pause_s: float = 0.0,
    keep_alive: bool = True,
) -> list[Step]:
    """A streamed answer of these very bytes, each piece in a write of its own.

    With ``pause_s`` each piece is that much later than the one before it, the first included.
    """
    steps: list[Step] = [head(content_type=content_type, keep_alive=keep_alive)]
    for piece in pieces:
        if pause_s:
            steps.append(Sleep(pause_s))
        steps.append(chunked(piece) if keep_alive else Send(piece))
    steps.append(last_chunk() if keep_alive else Close())
    return steps


def sse(
    *events: object, done: bool = True, pause_s: float = 0.0, keep_alive: bool = True
) -> list[Step]:
    """Server-sent events: ``bytes`` go out as they are (comments, odd line ends), anything else
    as ``data:`` and JSON. ``done`` adds OpenAI's closing ``[DONE]``."""
    pieces = [
        event if isinstance(event, bytes) else b"data: %s\n\n" % _json(event) for event in events
    ]
    if done:
        pieces.append(b"data: [DONE]\n\n")
    return stream(pieces, pause_s=pause_s, keep_alive=keep_alive)


def ndjson(*lines: object, pause_s: float = 0.0, keep_alive: bool = True) -> list[Step]:
    """One JSON object a line, as Ollama streams; ``bytes`` go out as they are."""
    pieces = [line if isinstance(line, bytes) else _json(line) + b"\n" for line in lines]
    return stream(
        pieces, content_type="application/x-ndjson", pause_s=pause_s, keep_alive=keep_alive
    )


def openai_chunk(
    delta: Mapping[str, Any], *, model: str = "scripted", finish: str | None = None
) -> dict[str, Any]:
    """One ``chat.completion.chunk``."""
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish}],
    }


def openai_stream(
    texts: Sequence[str],
    *,
    model: str = "scripted",
    reasoning: Sequence[str] = (),
    reasoning_key: str = "reasoning_content",
    role_chunk: bool = True,
    finish: str | None = "stop",
    usage: Mapping[str, Any] | None = None,
    timings: Mapping[str, Any] | None = None,
    done: bool = True,
    pause_s: float = 0.0,
    keep_alive: bool = True,
) -> list[Step]:
    """A streamed chat completion: role, reasoning, text, finish, usage (with no choices), done.

    ``timings`` stand beside the last object's other fields, as llama.cpp's server sends them.
    """
    events = [openai_chunk({"role": "assistant", "content": ""}, model=model)] if role_chunk else []
    events += [openai_chunk({reasoning_key: text}, model=model) for text in reasoning]
    events += [openai_chunk({"content": text}, model=model) for text in texts]
    if finish is not None:
        events.append(openai_chunk({}, model=model, finish=finish))
    if usage is not None:
        events.append(openai_chunk({}, model=model) | {"choices": [], "usage": dict(usage)})
    if timings is not None and events:
        events[-1]["timings"] = dict(timings)
    return sse(*events, done=done, pause_s=pause_s, keep_alive=keep_alive)


def ollama_stream(
    texts: Sequence[str],
    *,
    model: str = "scripted",
    thinking: Sequence[str] = (),
    reason: str | None = "stop",
    durations: Mapping[str, int] | None = None,
    pause_s: float = 0.0,
    keep_alive: bool = True,
) -> list[Step]:
    """A streamed answer of Ollama's ``/api/chat``.

    ``durations`` (counts, and times in ns) replaces the closing line's own: pass one without
    ``prompt_eval_count`` for a prompt out of the cache. ``reason=None`` leaves that line out.
    """
    opening = {"model": model, "created_at": "2026-01-01T00:00:00.000000000Z"}
    messages = [{"role": "assistant", "content": "", "thinking": text} for text in thinking]
    messages += [{"role": "assistant", "content": text} for text in texts]
    lines: list[dict[str, Any]] = [
        {**opening, "message": message, "done": False} for message in messages
    ]
    if reason is not None:
        measured = durations if durations is not None else _durations(len(messages))
        closing = {"message": {"role": "assistant", "content": ""}, "done": True}
        lines.append({**opening, **closing, "done_reason": reason, **measured})
    return ndjson(*lines, pause_s=pause_s, keep_alive=keep_alive)


def cut(steps: Sequence[Step], size: int, end: Step | None = None) -> list[Step]:
    """The answer's first ``size`` bytes on the wire, head included, and then its end (a FIN)."""
    kept: list[Step] = []
    left = size
    for step in steps:
        if isinstance(step, Send):
            step, left = Send(step.data[:left]), left - len(step.data)
        kept.append(step)
        if left <= 0:
            break
    return [*kept, end if end is not None else Close()]


def resliced(steps: Sequence[Step], size: int, pause_s: float = 0.001) -> list[Step]:
    """The same bytes, ``size`` of them a write: every line end, chunk head and UTF-8 character is
    torn apart somewhere. The pauses keep the reader from getting two writes in one read."""
    result: list[Step] = []
    for step in steps:
        if not isinstance(step, Send):
            result.append(step)
            continue
        for start in range(0, len(step.data), size):
            result += [Send(step.data[start : start + size]), Sleep(pause_s)]
    return result


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _durations(tokens: int) -> dict[str, int]:
    return {
        "total_duration": 60_000_000 + 10_000_000 * tokens,
        "load_duration": 20_000_000,
        "prompt_eval_count": 11,
        "prompt_eval_duration": 30_000_000,
        "eval_count": tokens,
        "eval_duration": 10_000_000 * tokens,
    }
