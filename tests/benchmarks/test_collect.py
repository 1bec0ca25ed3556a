"""From events to one sample: what is a token, what is an arrival, and when it came."""

from collections.abc import Sequence

from novasystem.benchmarks.collect import Collector, Place, failure_of
from novasystem.benchmarks.samples import Arrived, Failure, Sample
from novasystem.engines.events import (
    Arrival,
    Chunk,
    Event,
    Finished,
    ReasoningDelta,
    Sent,
    ServerTimings,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from novasystem.errors import EngineTimeout

ORIGIN = 1000
PLACE = Place(3, "m", "warm", 1, 2, 0, True, 5)


def collected(events: Sequence[Event], failure: Failure | None = None) -> Sample:
    collector = Collector(ORIGIN)
    for event in events:
        collector.take(event)
    return collector.sample(PLACE, ended_ns=900, lag_ns=4, failure=failure)


def arrival(at_ns: int, read: int = 0, size: int = 10) -> Arrival:
    return Arrival(ORIGIN + at_ns, read, size)


def test_a_chunk_without_content_is_no_token() -> None:
    """The role comes at once, the first token long after it."""
    last = arrival(90, 2)
    sample = collected(
        [
            Sent(ORIGIN + 10, reused=False),
            Chunk(arrival(11, 0)),
            TextDelta("Hi", arrival(60, 1)),
            Chunk(last),
            Usage(5, 1, last),
            Finished("stop", last),
        ]
    )
    assert (sample.sent_ns, sample.first_chunk_ns, sample.first_token_ns) == (10, 11, 60)
    assert sample.last_token_ns == 60
    assert sample.arrivals == (Arrived(60, 1, 10, 2),)
    assert (sample.chunks, sample.reads, sample.received_bytes) == (3, 3, 30)


def test_an_empty_answer_has_no_times_of_tokens() -> None:
    only = arrival(11)
    sample = collected([Sent(ORIGIN, reused=True), Chunk(only), Finished("stop", only)])
    assert sample.first_token_ns is None
    assert sample.last_token_ns is None
    assert sample.arrivals == ()
    assert sample.failure is None


def test_chunks_of_one_read_are_one_arrival() -> None:
    first, second, third = arrival(20, 0, 7), arrival(20, 0, 8), arrival(40, 1, 9)
    sample = collected(
        [
            Sent(ORIGIN, reused=False),
            TextDelta("ab", first),
            TextDelta("c", second),
            TextDelta("d", third),
            Finished("stop", third),
        ]
    )
    assert sample.arrivals == (Arrived(20, 2, 15, 3), Arrived(40, 1, 9, 1))
    assert (sample.chunks, sample.reads) == (3, 2)
    assert sample.text == "abcd"


def test_tokens_are_the_engines_count_not_that_of_chunks() -> None:
    only = arrival(20)
    sample = collected([TextDelta("five tokens in one chunk", only), Usage(9, 5, only)])
    assert (sample.chunks, sample.completion_tokens, sample.prompt_tokens) == (1, 5, 9)
    assert collected([TextDelta("x", only)]).completion_tokens is None


def test_several_events_of_one_chunk_are_one_chunk() -> None:
    """The last line of an answer may hold text, usage and end; an end is held back, and comes
    after the usage although its chunk came before."""
    text, usage = arrival(20, 0), arrival(30, 1)
    sample = collected(
        [
            ReasoningDelta("hm", text),
            TextDelta("x", text),
            Chunk(usage),
            Usage(1, 1, usage),
            Finished("stop", text),
        ]
    )
    assert (sample.chunks, sample.reads, sample.received_bytes) == (2, 2, 20)
    assert sample.arrivals == (Arrived(20, 1, 10, 3),)
    assert sample.finish_reason == "stop"


def test_reasoning_is_a_token_and_no_answer() -> None:
    sample = collected([ReasoningDelta("Let me", arrival(20, 0)), TextDelta("4", arrival(50, 1))])
    assert (sample.first_token_ns, sample.first_answer_ns) == (20, 50)
    assert (sample.reasoning, sample.text) == ("Let me", "4")


def test_a_tool_call_is_an_answer() -> None:
    sample = collected([ToolCallDelta(0, '{"a":1}', arrival(20), "id", "name")])
    assert (sample.first_token_ns, sample.first_answer_ns) == (20, 20)
    assert sample.arrivals[0].chars == 7


def test_what_the_server_says_is_kept() -> None:
    only = arrival(20)
    timings = ServerTimings(prefill_s=0.5)
    sample = collected([Usage(9, 5, only, 7, 2, timings)])
    assert (sample.cached_tokens, sample.reasoning_tokens) == (7, 2)
    assert sample.timings == timings


def test_a_failure_keeps_what_had_come() -> None:
    failure = failure_of(EngineTimeout("far", "between_tokens", 2.0))
    assert failure.code == "engine_timeout"
    sample = collected([Sent(ORIGIN + 1, reused=False), TextDelta("Hal", arrival(20))], failure)
    assert (sample.text, sample.failure, sample.last_token_ns) == ("Hal", failure, 20)
    assert (sample.number, sample.block, sample.item, sample.scheduled_ns) == (3, 1, 2, 5)
    assert (sample.ended_ns, sample.lag_ns) == (900, 4)


def test_a_foreign_error_keeps_its_name() -> None:
    assert failure_of(ValueError("odd")).message == "ValueError: odd"


def test_followed_as_it_comes() -> None:
    seen: list[tuple[int, str, bool]] = []
    collector = Collector(ORIGIN, lambda *piece: seen.append(piece))
    collector.take(ReasoningDelta("a", arrival(1)))
    collector.take(TextDelta("b", arrival(2)))
    assert seen == [(1, "a", True), (2, "b", False)]
