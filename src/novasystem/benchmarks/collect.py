"""From an engine's events to one sample: a fold, with the stamps of the reads themselves.

Nothing here looks at a clock: every time is that of a read (``Arrival.at_ns``, ``perf_counter_ns``)
less the benchmark's origin. So neither a step of the wall clock nor a client that is late with its
own work between two events moves a figure.
"""

from collections.abc import Callable
from dataclasses import dataclass

from novasystem.benchmarks.plan import Phase
from novasystem.benchmarks.samples import Arrived, Failure, Sample
from novasystem.engines.events import (
    Arrival,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Sent,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from novasystem.errors import NovaError

__all__ = ["Collector", "Follow", "Place", "failure_of"]

Follow = Callable[[int, str, bool], None]
"""Shown each piece as it comes: when it arrived (from the origin), its text, whether reasoning."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the benchmark a request stands; the fields are those of a sample."""

    number: int
    model: str
    phase: Phase
    block: int
    item: int
    turn: int
    counted: bool
    scheduled_ns: int
    prompt_target_tokens: int | None = None
    output_target_tokens: int | None = None
    depth_tokens: int | None = None
    load_ns: int | None = None
    rate_per_s: float | None = None


class Collector:
    """Takes the events of one request, in order; :meth:`sample` says what they were.

    A chunk without content (a role, a usage) is a chunk and no token. Tokens are counted by the
    engine alone; several in one chunk, or half a one, are one chunk. Chunks of one read are one
    arrival, since nothing is known of the time between them.
    """

    __slots__ = (
        "_arrivals",
        "_bytes",
        "_chars",
        "_chunks",
        "_first_answer_ns",
        "_first_chunk_ns",
        "_first_token_ns",
        "_follow",
        "_last",
        "_last_read",
        "_origin_ns",
        "_read",
        "_read_at_ns",
        "_read_chunks",
        "_read_size",
        "_reads",
        "_reason",
        "_reasoning",
        "_sent",
        "_text",
        "_usage",
        "_within",
    )

    def __init__(self, origin_ns: int, follow: Follow | None = None) -> None:
        self._origin_ns = origin_ns
        self._follow = follow
        self._sent: Sent | None = None
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._arrivals: list[Arrived] = []
        self._first_chunk_ns: int | None = None
        self._first_token_ns: int | None = None
        self._first_answer_ns: int | None = None
        # Of everything that arrived.
        self._last: Arrival | None = None
        self._last_read = -1
        self._chunks = 0
        self._reads = 0
        self._bytes = 0
        # Of the read that brings content now.
        self._within: Arrival | None = None
        self._read = -1
        self._read_at_ns = 0
        self._read_chunks = 0
        self._read_size = 0
        self._chars = 0

    def take(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            arrival, text = event.arrival, event.text
            self._token(arrival, text)
            if self._first_answer_ns is None:
                self._first_answer_ns = arrival.at_ns - self._origin_ns
            self._text.append(text)
            if self._follow is not None:
                self._follow(arrival.at_ns - self._origin_ns, text, False)
        elif isinstance(event, ReasoningDelta):
            self._token(event.arrival, event.text)
            self._reasoning.append(event.text)
            if self._follow is not None:
                self._follow(event.arrival.at_ns - self._origin_ns, event.text, True)
        elif isinstance(event, ToolCallDelta):
            self._token(event.arrival, event.arguments)
            if self._first_answer_ns is None:
                self._first_answer_ns = event.arrival.at_ns - self._origin_ns
        elif isinstance(event, Sent):
            self._sent = event
        elif isinstance(event, Finished):
            # Its chunk came before: an engine's end is held back until the usage is known.
            self._reason = event.reason
        else:
            if isinstance(event, Usage):
                self._usage = event
            self._chunk(event.arrival)

    def _chunk(self, arrival: Arrival) -> None:
        """Count a chunk, once, whatever events came out of it."""
        if arrival is self._last:
            return
        self._last = arrival
        self._chunks += 1
        self._bytes += arrival.size
        if arrival.read != self._last_read:
            self._last_read = arrival.read
            self._reads += 1
        if self._first_chunk_ns is None:
            self._first_chunk_ns = arrival.at_ns - self._origin_ns

    def _token(self, arrival: Arrival, text: str) -> None:
        if arrival is not self._last:
            self._chunk(arrival)
        if arrival.read != self._read:
            self._flush()
            self._read = arrival.read
            self._read_at_ns = arrival.at_ns - self._origin_ns
            if self._first_token_ns is None:
                self._first_token_ns = self._read_at_ns
        if arrival is not self._within:
            self._within = arrival
            self._read_chunks += 1
            self._read_size += arrival.size
        self._chars += len(text)

    def _flush(self) -> None:
        if self._read_chunks:
            self._arrivals.append(
                Arrived(self._read_at_ns, self._read_chunks, self._read_size, self._chars)
            )
            self._read_chunks = self._read_size = self._chars = 0

    @property
    def sent(self) -> bool:
        return self._sent is not None

    @property
    def text(self) -> str:
        return "".join(self._text)

    def sample(
        self, place: Place, *, ended_ns: int, lag_ns: int, failure: Failure | None
    ) -> Sample:
        """Everything that came until now. ``ended_ns`` is of the benchmark's clock."""
        self._flush()
        sent, usage, arrivals = self._sent, self._usage, self._arrivals
        return Sample(
            number=place.number,
            model=place.model,
            phase=place.phase,
            block=place.block,
            item=place.item,
            turn=place.turn,
            counted=place.counted,
            scheduled_ns=place.scheduled_ns,
            sent_ns=None if sent is None else sent.at_ns - self._origin_ns,
            reused=None if sent is None else sent.reused,
            first_chunk_ns=self._first_chunk_ns,
            first_token_ns=self._first_token_ns,
            first_answer_ns=self._first_answer_ns,
            last_token_ns=arrivals[-1].at_ns if arrivals else None,
            ended_ns=ended_ns,
            arrivals=tuple(arrivals),
            chunks=self._chunks,
            reads=self._reads,
            received_bytes=self._bytes,
            prompt_tokens=None if usage is None else usage.prompt_tokens,
            completion_tokens=None if usage is None else usage.completion_tokens,
            cached_tokens=None if usage is None else usage.cached_tokens,
            reasoning_tokens=None if usage is None else usage.reasoning_tokens,
            timings=None if usage is None else usage.timings,
            finish_reason=self._reason,
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            failure=failure,
            lag_ns=lag_ns,
            prompt_target_tokens=place.prompt_target_tokens,
            output_target_tokens=place.output_target_tokens,
            depth_tokens=place.depth_tokens,
            load_ns=place.load_ns,
            rate_per_s=place.rate_per_s,
        )


def failure_of(error: Exception) -> Failure:
    """``error`` as it stands in a sample; what is not ours keeps its name."""
    if isinstance(error, NovaError):
        return Failure(error.code, error.message, error.hint)
    return Failure(
        "internal_error",
        f"{type(error).__name__}: {error}",
        "This is a defect of NovaSystem: please report it.",
    )
