"""The load against a server that does what is scripted: what a sample says is what happened."""

import pytest

from novasystem.benchmarks.plan import (
    Concurrent,
    Limits,
)
from novasystem.benchmarks.sample_log import Live
from novasystem.benchmarks.samples import Sample
from tests.benchmarks.loads import USAGE, carried_out, plan, playing, stalled
from tests.servers.answers import (
    Sleep,
    chunked,
    head,
    openai_chunk,
    openai_stream,
    sse,
)
from tests.servers.scripted import ScriptedServer


async def test_the_role_is_no_first_token(scripted: ScriptedServer) -> None:
    """It comes at once; the first token after 300 ms."""
    role, *rest = openai_stream(["Hi"], usage=USAGE)[1:]
    playing(scripted, [head(content_type="text/event-stream"), role, Sleep(0.3), *rest])
    [sample] = (await carried_out(scripted, plan())).samples
    assert sample.sent_ns is not None
    assert sample.first_chunk_ns is not None
    assert sample.first_token_ns is not None
    assert sample.first_token_ns - sample.sent_ns > 250_000_000
    assert sample.first_chunk_ns < sample.first_token_ns <= sample.ended_ns
    assert (sample.text, sample.completion_tokens, sample.failure) == ("Hi", 2, None)


async def test_reasoning_comes_before_the_answer(scripted: ScriptedServer) -> None:
    playing(scripted, openai_stream(["4"], reasoning=["Two", " and"], pause_s=0.05))
    [sample] = (await carried_out(scripted, plan())).samples
    assert sample.first_token_ns is not None
    assert sample.first_answer_ns is not None
    assert sample.first_token_ns < sample.first_answer_ns
    assert (sample.reasoning, sample.text) == ("Two and", "4")


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ([{"error": {"message": "out of memory"}}], "engine_rejected"),
        ([], "engine_protocol_error"),
        ([b"data: {broken\n\n"], "engine_protocol_error"),
    ],
)
async def test_what_breaks_off_is_a_failure_and_keeps_its_text(
    scripted: ScriptedServer, ending: list[object], code: str
) -> None:
    begun = openai_chunk({"content": "Half an ans"})
    playing(scripted, sse(begun, *ending, done=False), openai_stream(["whole"], usage=USAGE))
    made = await carried_out(scripted, plan(repetitions=2))
    broken, whole = made.samples
    assert broken.failure is not None
    assert (broken.failure.code, broken.text) == (code, "Half an ans")
    assert broken.first_token_ns is not None
    assert whole.failure is None
    assert made.end.status == "completed"


async def test_silence_ends_at_its_limit(scripted: ScriptedServer) -> None:
    playing(scripted, stalled("So", " far"))
    made = await carried_out(scripted, plan(limits=Limits(between_tokens_s=0.2)))
    [sample] = made.samples
    assert sample.failure is not None
    assert (sample.failure.code, sample.text) == ("engine_timeout", "So far")
    assert made.end.status == "completed"


async def test_a_request_ends_at_its_limit(scripted: ScriptedServer) -> None:
    playing(scripted, openai_stream(["x"] * 100, pause_s=0.05))
    [sample] = (await carried_out(scripted, plan(limits=Limits(request_s=0.3)))).samples
    assert sample.failure is not None
    assert sample.failure.code == "engine_timeout"
    assert "x" in sample.text


async def test_connections_are_used_again(scripted: ScriptedServer) -> None:
    playing(scripted)
    made = await carried_out(scripted, plan(repetitions=5))
    assert [sample.reused for sample in made.samples] == [False] + [True] * 4
    assert scripted.connections == 1


async def test_live_text_is_thinned_out_and_whole(scripted: ScriptedServer) -> None:
    texts = [f"w{number} " for number in range(200)]
    playing(scripted, openai_stream(texts, usage=USAGE, pause_s=0.005))
    made = await carried_out(scripted, plan(load=Concurrent(concurrency=2, requests=2)))
    live = made.of(Live)
    number = live[0].number
    assert live[0].text == ""
    assert "".join(one.text for one in live if one.number == number) == "".join(texts)
    assert 3 < len(live) < 80
    written = [record for record in made.records if isinstance(record, (Live, Sample))]
    assert isinstance(written[-1], Sample)


async def test_chunks_and_reads(scripted: ScriptedServer) -> None:
    """Two events in one write are two chunks and one arrival; half a character is no arrival."""
    both = b"".join(
        b"data: %s\n\n" % part
        for part in (
            b'{"choices":[{"index":0,"delta":{"content":"a"}}]}',
            '{"choices":[{"index":0,"delta":{"content":"ü"}}]}'.encode(),
        )
    )
    cut_at = both.index("ü".encode()) + 1
    ending = openai_stream(["c"], role_chunk=False, usage=USAGE)[1:]
    opening = head(content_type="text/event-stream")
    playing(
        scripted,
        [opening, chunked(both), Sleep(0.1), *ending],
        [opening, chunked(both[:cut_at]), Sleep(0.1), chunked(both[cut_at:]), Sleep(0.1), *ending],
    )
    together, torn = (await carried_out(scripted, plan(repetitions=2))).samples
    assert together.text == torn.text == "aüc"
    assert [(one.chunks, one.chars) for one in together.arrivals][:1] == [(2, 2)]
    assert [(one.chunks, one.chars) for one in torn.arrivals][:2] == [(1, 1), (1, 1)]
    assert together.completion_tokens == 2
    assert together.chunks >= 4
