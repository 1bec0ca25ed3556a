"""From an engine's bytes to its events: the one loop behind every engine's ``generate``."""

from collections.abc import AsyncGenerator
from typing import Protocol

from novasystem.engines.events import Arrival, Event, ReasoningDelta, Sent, TextDelta, ToolCallDelta
from novasystem.engines.http import Transport
from novasystem.engines.refusal import refused
from novasystem.engines.requests import GenerateRequest
from novasystem.engines.sse import Frame, FrameTooLarge
from novasystem.errors import EngineError, EngineProtocolError, EngineRejected

__all__ = ["Decoder", "Splitter", "StreamFault", "count_value", "stream", "text_value"]

_TOKENS = (TextDelta, ReasoningDelta, ToolCallDelta)


class StreamFault(ValueError):
    """What came is not an answer. ``reported``: the engine itself reported an error."""

    def __init__(self, message: str, *, reported: bool = False) -> None:
        super().__init__(message)
        self.reported = reported


def text_value(value: object) -> str:
    """``value`` where it is a text; ``TypeError`` for what a decoder cannot pass on."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def count_value(value: object) -> int | None:
    """``value`` where it is a count or absent; ``TypeError`` otherwise."""
    if value is not None and not isinstance(value, int):
        raise TypeError(value)
    return value


class Splitter(Protocol):
    def feed(self, data: bytes) -> list[Frame]: ...

    def end(self) -> list[Frame]: ...


class Decoder(Protocol):
    """Frames in, events out; ``done`` once the answer is whole. Both raise ``StreamFault``."""

    done: bool

    def decode(self, frame: Frame, arrival: Arrival) -> list[Event]: ...

    def end(self) -> list[Event]: ...


async def stream(
    transport: Transport,
    path: str,
    body: object,
    request: GenerateRequest,
    splitter: Splitter,
    decoder: Decoder,
) -> AsyncGenerator[Event, None]:
    """Post ``body`` and yield what comes; every way in which that can fail is a typed error."""
    try:
        with await transport.open("POST", path, body, request.limits) as reads:
            yield Sent(reads.sent_at_ns, reads.reused)
            while not decoder.done:
                data = await reads.read()
                for frame in splitter.feed(data) if data else splitter.end():
                    arrival = Arrival(reads.at_ns, reads.index, frame.size)
                    for event in decoder.decode(frame, arrival):
                        if isinstance(event, _TOKENS):
                            reads.token()
                        yield event
                    if decoder.done:
                        # What one read brought behind the end is no part of the answer.
                        break
                if not data:
                    break
            for event in decoder.end():
                yield event
            await reads.drain()
    except (StreamFault, FrameTooLarge) as error:
        raise _fault(transport, error) from error
    except EngineRejected as error:
        raise refused(error, request.model) from error


def _fault(transport: Transport, error: ValueError) -> EngineError:
    engine = transport.engine
    if isinstance(error, StreamFault) and error.reported:
        return EngineRejected(engine, 200, f"Engine '{engine}' broke off with an error: {error}")
    return EngineProtocolError(
        engine,
        f"Engine '{engine}' at {transport.where} sent an answer that cannot be read: {error}.",
        hint="See its log: it may have been stopped, or be another kind of server.",
    )
