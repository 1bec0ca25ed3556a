"""What one request of a benchmark gave: raw, immutable, and all that every figure is made from."""

from dataclasses import dataclass
from typing import NamedTuple

from novasystem.benchmarks.plan import Phase
from novasystem.engines.events import FinishReason, ServerTimings

__all__ = ["Arrived", "Failure", "Sample"]


class Arrived(NamedTuple):
    """One read that brought content: several chunks in one read are one arrival.

    ``at_ns`` from the benchmark's origin; ``size``: bytes; ``chars`` of text and reasoning.
    """

    at_ns: int
    chunks: int
    size: int
    chars: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request failed: ``code`` as in :mod:`novasystem.errors`."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. Times are nanoseconds of ``perf_counter_ns`` since the benchmark's origin, whose
    wall-clock time stands once in the benchmark; ``None`` where it did not come to that.

    ``number`` counts the requests of a benchmark; ``block`` is the repetition, ``item`` which part
    of the workload, ``turn`` which turn of a conversation. ``counted``: whether it enters the
    figures; what warms up does not. ``scheduled_ns``: when the pacing wanted it to leave;
    ``sent_ns``: when its last byte was written. ``first_chunk_ns`` is a chunk of any kind,
    ``first_token_ns`` the first with non-empty content, ``first_answer_ns`` the first of those that
    is not reasoning, ``last_token_ns`` the last one with content, ``ended_ns`` the end of it all,
    failures included.

    ``chunks``, ``reads`` and ``received_bytes`` count everything that arrived. Token counts are the
    engine's; ``None`` where it does not say. ``lag_ns``: the most that the client's event loop was
    late while the request was under way. ``load_ns``: what it took before the request was sent to
    bring a model into memory whose engine does not load it within the request. ``rate_per_s``: of
    the step of a sweep that it belongs to.
    """

    number: int
    model: str
    phase: Phase
    block: int
    item: int
    turn: int
    counted: bool
    scheduled_ns: int
    sent_ns: int | None
    reused: bool | None
    first_chunk_ns: int | None
    first_token_ns: int | None
    first_answer_ns: int | None
    last_token_ns: int | None
    ended_ns: int
    arrivals: tuple[Arrived, ...]
    chunks: int
    reads: int
    received_bytes: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    timings: ServerTimings | None
    finish_reason: FinishReason | None
    text: str
    reasoning: str
    failure: Failure | None
    lag_ns: int
    prompt_target_tokens: int | None = None
    output_target_tokens: int | None = None
    depth_tokens: int | None = None
    load_ns: int | None = None
    rate_per_s: float | None = None
