"""What a generation consists of: a union of small frozen dataclasses.

Every event that the engine's bytes brought carries an :class:`Arrival`; events out of one chunk
share the same object, so that chunks and reads can be counted from the events alone.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Arrival",
    "Chunk",
    "Event",
    "FinishReason",
    "Finished",
    "ReasoningDelta",
    "Sent",
    "ServerTimings",
    "TextDelta",
    "ToolCallDelta",
    "Usage",
]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """How one chunk (an SSE event, an NDJSON line) reached us.

    ``at_ns``: ``perf_counter_ns`` right after the read that completed it. ``read``: which read of
    this answer that was, from 0; chunks of one read arrived together. ``size``: bytes of the chunk
    on the wire, its line ends included.
    """

    at_ns: int
    read: int
    size: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The request has left and the engine has accepted it: always the first event.

    ``at_ns``: ``perf_counter_ns`` when the last byte of the request was written; the time that
    connecting took lies before it. ``reused``: whether the connection had been used before.
    """

    at_ns: int
    reused: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk without content, such as the role that opens an answer: no token came with it."""

    arrival: Arrival


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer; never empty. One chunk may hold several tokens, or half a word."""

    text: str
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of what the model thinks before it answers; never empty."""

    text: str
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call. ``id`` and ``name`` stand on the first piece of a call only.

    ``arguments`` is JSON text; the pieces of one ``index``, joined, are the whole of it.
    """

    index: int
    arguments: str
    arrival: Arrival
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ServerTimings:
    """What the engine itself measured; ``None`` where it did not say.

    ``prefill_tokens`` are the prompt tokens that were really evaluated: with a prompt cache fewer
    than the prompt has.
    """

    load_s: float | None = None
    prefill_tokens: int | None = None
    prefill_s: float | None = None
    decode_tokens: int | None = None
    decode_s: float | None = None
    total_s: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the engine reports them; at most once an answer, before ``Finished``."""

    prompt_tokens: int | None
    completion_tokens: int | None
    arrival: Arrival
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    timings: ServerTimings | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of every complete answer, always the last event; a broken one ends in an error."""

    reason: FinishReason
    arrival: Arrival


Event = Sent | Chunk | TextDelta | ReasoningDelta | ToolCallDelta | Usage | Finished
