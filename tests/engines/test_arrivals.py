"""What the benchmarker stands on: when a request left, when which bytes came, and how many."""

import time
from dataclasses import replace
from itertools import pairwise

from novasystem.engines.events import Arrival, Event, Sent, TextDelta
from novasystem.engines.requests import Message
from tests.engines.asking import OLLAMA, OPENAI, Wire, asked, collect, text
from tests.servers.answers import Send, Sleep, Step, chunked, head, last_chunk, resliced, stream
from tests.servers.scripted import ScriptedServer

TEXTS = ["Hi", " \u2028", "é漢🙂", '"\\\n', " end"]
TYPES = {"openai": "text/event-stream", "ollama": "application/x-ndjson"}


def payload(steps: list[Step]) -> bytes:
    """The body of a streamed answer, without HTTP's chunks."""
    sends = [step.data for step in steps if isinstance(step, Send)][1:-1]
    return b"".join(data.partition(b"\r\n")[2][:-2] for data in sends)


def arrivals(events: list[Event]) -> list[Arrival]:
    """Each chunk's, once: events of one chunk share the object."""
    found = {id(e.arrival): e.arrival for e in events if not isinstance(e, Sent)}
    return list(found.values())


def meaning(events: list[Event]) -> list[tuple[object, ...]]:
    return [
        (type(e).__name__, getattr(e, "text", None), getattr(e, "reason", None)) for e in events
    ]


async def test_the_same_bytes_mean_the_same_however_they_come(
    wire: Wire, scripted: ScriptedServer
) -> None:
    """All at once, in writes of 1, 3 and 7 bytes, and with HTTP chunks torn out of step."""
    whole = wire.answer(TEXTS)
    body = payload(whole)
    once: list[Step] = [Send(b"".join(s.data for s in whole if isinstance(s, Send)))]
    pieces = [body[i : i + 5] for i in range(0, len(body), 5)]
    answers = [
        whole,
        once,
        *(resliced(whole, size, pause_s=0.0) for size in (1, 3, 7)),
        stream(pieces, content_type=TYPES[wire.name]),
    ]
    async with wire.playing(scripted, *answers) as engine:
        results = [await collect(engine) for _ in answers]
    assert text(results[0]) == "".join(TEXTS)
    assert all(meaning(result) == meaning(results[0]) for result in results)


async def test_half_a_character_waits_for_its_other_half(
    wire: Wire, scripted: ScriptedServer
) -> None:
    body = payload(wire.answer(["é漢🙂"]))
    middle = body.index("漢".encode()) + 1
    halves: list[Step] = [
        head(),
        chunked(body[:middle]),
        Sleep(0.1),
        chunked(body[middle:]),
        last_chunk(),
    ]
    async with wire.playing(scripted, halves) as engine:
        events = await collect(engine)
    assert text(events) == "é漢🙂"
    assert sum(isinstance(event, TextDelta) for event in events) == 1


async def test_the_sizes_add_up_to_the_bytes_on_the_wire(
    wire: Wire, scripted: ScriptedServer
) -> None:
    whole = wire.answer(TEXTS)
    body = payload(whole)
    async with wire.playing(scripted, whole) as engine:
        events = await collect(engine)
    done = len(b"data: [DONE]\n\n") if wire is OPENAI else 0
    assert sum(arrival.size for arrival in arrivals(events)) == len(body) - done


async def test_chunks_of_one_read_arrived_together(wire: Wire, scripted: ScriptedServer) -> None:
    body = payload(wire.answer(["a", "b", "c"]))
    once: list[Step] = [head(), Sleep(0.05), chunked(body), last_chunk()]
    async with wire.playing(scripted, once) as engine:
        found = arrivals(await collect(engine))
    assert len(found) > 3
    assert {(arrival.read, arrival.at_ns) for arrival in found} == {(0, found[0].at_ns)}


async def test_reads_are_numbered_and_stamped_as_they_come(
    wire: Wire, scripted: ScriptedServer
) -> None:
    async with wire.playing(scripted, wire.answer(["a", "b", "c"], pause_s=0.05)) as engine:
        before_ns = time.perf_counter_ns()
        events = await collect(engine)
        after_ns = time.perf_counter_ns()
    sent = events[0]
    assert isinstance(sent, Sent)
    found = [event.arrival for event in events if isinstance(event, TextDelta)]
    assert before_ns < sent.at_ns < found[0].at_ns
    assert found[-1].at_ns < after_ns
    for earlier, later in pairwise(found):
        assert earlier.read < later.read
        # The schedule is absolute: a late token makes the gap behind it shorter, never negative.
        assert earlier.at_ns < later.at_ns
    assert found[-1].at_ns - sent.at_ns >= 0.15e9 - 5e6


async def test_a_request_was_sent_when_it_had_left_and_not_when_it_was_answered(
    wire: Wire, scripted: ScriptedServer
) -> None:
    late: list[Step] = [Sleep(0.4), *wire.answer(["x"])]
    async with wire.playing(scripted, late) as engine:
        before_ns = time.perf_counter_ns()
        events = await collect(engine)
        seen = wire.requests(scripted)[0]
    sent = events[0]
    assert isinstance(sent, Sent)
    # The server shares our clock: it is another thread of this process.
    assert before_ns < sent.at_ns < seen.at_ns + 0.2e9
    first = arrivals(events)[0]
    assert first.at_ns - sent.at_ns > 0.2e9


async def test_a_large_request_was_sent_with_its_last_byte(
    wire: Wire, scripted: ScriptedServer
) -> None:

    long = replace(asked(), messages=(Message("user", "x" * 20_000_000),))
    async with wire.playing(scripted, wire.answer(["x"])) as engine:
        before_ns = time.perf_counter_ns()
        events = await collect(engine, long)
        seen = wire.requests(scripted)[0]
    sent = events[0]
    assert isinstance(sent, Sent)
    # What the kernel holds at the end is small against the whole; a busy machine stretches it.
    assert (sent.at_ns - before_ns) > 0.2 * (seen.at_ns - before_ns)


async def test_no_byte_of_an_answer_lies_before_its_request(
    wire: Wire, scripted: ScriptedServer
) -> None:
    async with wire.playing(scripted, wire.answer(["x"])) as engine:
        for _ in range(50):
            events = await collect(engine)
            sent = events[0]
            assert isinstance(sent, Sent)
            assert all(arrival.at_ns >= sent.at_ns for arrival in arrivals(events))


async def test_the_counts_of_the_engine_and_our_chunks_are_told_apart(
    scripted: ScriptedServer,
) -> None:
    """Trap 2: two chunks, of which the engine says that they were seven tokens."""
    answer = OLLAMA.answer(["ab", "cd"], durations={"eval_count": 7})
    async with OLLAMA.playing(scripted, answer) as engine:
        events = await collect(engine)
    assert sum(isinstance(event, TextDelta) for event in events) == 2
    assert [getattr(e, "completion_tokens", None) for e in events if "Usage" in repr(e)] == [7]
