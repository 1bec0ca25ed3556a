"""The load against a server that does what is scripted: what a sample says is what happened."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from novasystem.benchmarks.asking import IN_A_ROW
from novasystem.benchmarks.load import enough
from novasystem.benchmarks.plan import (
    Burst,
    Concurrent,
    ConstantRate,
    Convergence,
    Conversation,
    Limits,
    Matrix,
    Prompts,
    Sweep,
    Synthetic,
    Trace,
    TracedRequest,
)
from novasystem.benchmarks.resuming import done
from novasystem.benchmarks.sample_log import ClientFigures, Live, ModelState, Record, SweepStep
from novasystem.benchmarks.samples import Failure, Sample
from tests.benchmarks.loads import CHAT, USAGE, asked, carried_out, plan, playing, prepared
from tests.servers.answers import (
    Sleep,
    Stall,
    chunked,
    head,
    json_answer,
    openai_chunk,
    openai_stream,
    sse,
)
from tests.servers.scripted import ScriptedServer, Seen


def stalled(*texts: str) -> list[Any]:
    """These pieces, and then silence."""
    steps = openai_stream(texts, finish=None, done=False)
    return [*steps[:-1], Stall()]


def prompt_of(seen: Seen) -> str:
    content: str = seen.json["messages"][-1]["content"]
    return content


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


async def test_so_many_at_once(scripted: ScriptedServer) -> None:
    playing(scripted, openai_stream(["a", "b"], usage=USAGE, pause_s=0.05))
    made = await carried_out(scripted, plan(load=Concurrent(concurrency=4, requests=12)))
    assert len(made.samples) == 12
    assert scripted.connections == 4
    spans = [(sample.sent_ns or 0, sample.ended_ns) for sample in made.samples]
    most = max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)
    assert most == 4


async def test_a_step_of_the_wall_clock_moves_nothing(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing(scripted, openai_stream(["a", "b"], usage=USAGE, pause_s=0.02))
    steps = iter(range(0, -10_000_000, -3600))
    monkeypatch.setattr(time, "time", lambda: next(steps))
    [sample] = (await carried_out(scripted, plan())).samples
    times = [
        sample.scheduled_ns,
        sample.sent_ns or 0,
        sample.first_chunk_ns or 0,
        sample.first_token_ns or 0,
        sample.last_token_ns or 0,
        sample.ended_ns,
    ]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 60e9


async def test_a_late_client_says_so(scripted: ScriptedServer) -> None:
    """What holds the loop up is not the model's fault: it stands beside the times."""
    playing(scripted, openai_stream(["a"] * 6, usage=USAGE, pause_s=0.1))
    asyncio.get_running_loop().call_later(0.25, time.sleep, 0.4)
    made = await carried_out(scripted, plan(repetitions=2))
    assert made.samples[0].lag_ns > 250_000_000
    assert made.samples[1].lag_ns < made.samples[0].lag_ns
    assert made.end.lag_ns >= made.samples[0].lag_ns - 20_000_000
    assert made.end.load_cpu_s > 0
    assert made.of(ClientFigures)[-1].cpu_s > 0


async def test_an_open_loop_does_not_wait_for_answers(scripted: ScriptedServer) -> None:
    playing(scripted, stalled())
    what = plan(load=ConstantRate(rate_per_s=50, requests=20), limits=Limits(model_s=1.5))
    made = await carried_out(scripted, what)
    seen = asked(scripted)
    assert len(seen) == len(made.samples) == 20
    assert seen[-1].at_ns - seen[0].at_ns > 300_000_000
    scheduled = sorted(sample.scheduled_ns for sample in made.samples)
    assert scheduled[-1] - scheduled[0] == pytest.approx(380_000_000, abs=10)


async def test_what_leaves_late_is_neither_dropped_nor_passed_over(
    scripted: ScriptedServer,
) -> None:
    """The client stands still for 400 ms: what was due then leaves afterwards, and says how late.
    The schedule goes on as it was."""
    playing(scripted)
    asyncio.get_running_loop().call_later(0.2, time.sleep, 0.4)
    made = await carried_out(scripted, plan(load=ConstantRate(rate_per_s=50, requests=50)))
    samples = sorted(made.samples, key=lambda sample: sample.scheduled_ns)
    assert len(asked(scripted)) == len(samples) == 50
    gaps = {round((b.scheduled_ns - a.scheduled_ns) / 1e6) for a, b in itertools.pairwise(samples)}
    assert gaps == {20}
    delays = [((sample.sent_ns or 0) - sample.scheduled_ns) / 1e9 for sample in samples]
    assert min(delays) >= 0
    assert max(delays) > 0.25
    assert sum(delay > 0.1 for delay in delays) >= 10


async def test_bursts_leave_together(scripted: ScriptedServer) -> None:
    playing(scripted)
    made = await carried_out(scripted, plan(load=Burst(size=5, every_s=0.3, bursts=2)))
    first = min(sample.scheduled_ns for sample in made.samples)
    found = sorted(round((sample.scheduled_ns - first) / 1e8) for sample in made.samples)
    assert found == [0] * 5 + [3] * 5


async def test_a_trace_is_replayed(scripted: ScriptedServer) -> None:
    playing(scripted)
    requests = tuple(TracedRequest(at_s=at, prompt=f"p{at}") for at in (0, 0.1, 0.4))
    made = await carried_out(scripted, plan(workload=Trace(requests=requests)))
    assert [prompt_of(seen) for seen in asked(scripted)] == ["p0", "p0.1", "p0.4"]
    first = made.samples[0].scheduled_ns
    found = [sample.scheduled_ns - first for sample in made.samples]
    assert found == pytest.approx([0, 1e8, 4e8], abs=10)


async def test_a_prompt_is_asked_as_it_is_and_uncached(scripted: ScriptedServer) -> None:
    """llama.cpp can be told not to look into its cache; in the cached phase it is not told, and the
    prompt is asked once before."""
    playing(scripted)
    scripted.on("GET", "/props", json_answer(200, {}))
    made = await carried_out(
        scripted, plan(phases=("warm", "cached"), repetitions=2), flavour="llamacpp"
    )
    bodies = [seen.json for seen in asked(scripted)]
    assert {prompt_of(seen) for seen in asked(scripted)} == {"Hi"}
    assert [body.get("cache_prompt") for body in bodies] == [False, False, None, None]
    assert len(made.samples) == 4

    phased = await carried_out(scripted, plan(phases=("cached",), repetitions=2))
    bodies = [seen.json for seen in asked(scripted)[4:]]
    assert [body.get("max_tokens") for body in bodies] == [1, None, None]
    assert [sample.counted for sample in phased.of(Sample)] == [False, True, True]


async def test_made_up_prompts_begin_differently_unless_cached(scripted: ScriptedServer) -> None:
    def answer(seen: Seen) -> Sequence[Any]:
        words = len(prompt_of(seen).split(" "))
        return openai_stream(["x"], usage=USAGE | {"prompt_tokens": words})

    scripted.asks("POST", CHAT, answer)
    workload = Synthetic(prompt_tokens=40, output_tokens=7)
    made = await carried_out(
        scripted, plan(workload=workload, repetitions=3, warm_up=1, phases=("warm", "cached"))
    )
    counted = [seen for seen in asked(scripted) if seen.json["max_tokens"] == 7]
    prompts = [prompt_of(seen) for seen in counted]
    # One to warm up, three of the warm phase, three of the cached one.
    assert len(prompts) == 7
    assert len(set(prompts[:4])) == 4
    assert len(set(prompts[4:])) == 1
    assert prompts[4] not in prompts[:4]
    assert {sample.prompt_tokens for sample in made.samples} == {40}
    assert {sample.prompt_target_tokens for sample in made.samples} == {40}
    assert {sample.output_target_tokens for sample in made.samples} == {7}


async def test_a_depth_is_asked_before_uncounted(scripted: ScriptedServer) -> None:
    def answer(seen: Seen) -> Sequence[Any]:
        words = len(prompt_of(seen).split(" "))
        return openai_stream(["x"], usage=USAGE | {"prompt_tokens": words})

    scripted.asks("POST", CHAT, answer)
    workload = Matrix(prompt_tokens=(20,), output_tokens=(5,), depths=(0, 30))
    made = await carried_out(scripted, plan(workload=workload))
    assert [sample.depth_tokens for sample in made.samples] == [0, 30]
    before, last = asked(scripted)[-2:]
    assert prompt_of(last).startswith(prompt_of(before) + " ")
    assert (len(prompt_of(before).split(" ")), len(prompt_of(last).split(" "))) == (30, 50)


async def test_a_model_that_fails_spoils_no_other(scripted: ScriptedServer) -> None:
    def answer(seen: Seen) -> Sequence[Any]:
        if seen.json["model"] == "bad":
            return json_answer(404, {"error": {"message": "no such model"}})
        return openai_stream(["x"], usage=USAGE)

    scripted.asks("POST", CHAT, answer)
    made = await carried_out(scripted, plan(repetitions=3), models=("bad", "good"))
    bad, good = (
        [sample for sample in made.samples if sample.model == name] for name in ("bad", "good")
    )
    assert [sample.failure for sample in good] == [None] * 3
    # Wrong once is wrong each time.
    assert [sample.failure.code for sample in bad if sample.failure] == ["model_not_found"]
    states = {(state.model, state.state) for state in made.of(ModelState)}
    assert {("bad", "failed"), ("good", "done")} <= states


async def test_a_closed_loop_gives_up_a_model_that_only_fails(scripted: ScriptedServer) -> None:
    playing(scripted, json_answer(500, {"error": {"message": "boom"}}))
    made = await carried_out(scripted, plan(repetitions=10_000))
    assert len(made.samples) == IN_A_ROW
    [state] = [state for state in made.of(ModelState) if state.state == "failed"]
    assert state.failure is not None
    assert state.failure.code == "engine_rejected"


@pytest.mark.parametrize("mode", ["parallel", "sequential"])
async def test_modes(scripted: ScriptedServer, mode: str) -> None:
    playing(scripted, openai_stream(["a"], usage=USAGE, pause_s=0.1))
    made = await carried_out(scripted, plan(mode=mode), models=("one", "two"))
    times = {
        name: [state.at_ns for state in made.of(ModelState) if state.model == name]
        for name in ("one", "two")
    }
    together = max(map(min, times.values())) < min(map(max, times.values()))
    assert together is (mode == "parallel")


@pytest.mark.parametrize("mode", ["parallel", "sequential"])
async def test_a_models_limit_is_its_own(scripted: ScriptedServer, mode: str) -> None:
    def answer(seen: Seen) -> Sequence[Any]:
        return stalled("So") if seen.json["model"] == "slow" else openai_stream(["x"], usage=USAGE)

    scripted.asks("POST", CHAT, answer)
    made = await carried_out(
        scripted, plan(mode=mode, limits=Limits(model_s=0.5)), models=("slow", "quick")
    )
    slow, quick = sorted(made.samples, key=lambda sample: sample.model, reverse=True)
    assert slow.failure is not None
    assert (slow.failure.code, slow.text) == ("model_timeout", "So")
    assert quick.failure is None
    assert made.end.status == "completed"


async def test_the_benchmarks_limit(scripted: ScriptedServer) -> None:
    playing(scripted, stalled("So"))
    what = plan(mode="sequential", limits=Limits(benchmark_s=0.5))
    made = await carried_out(scripted, what, models=("one", "two"))
    assert [sample.model for sample in made.samples] == ["one"]
    assert made.end.status == "failed"
    assert made.end.failure is not None
    assert made.end.failure.code == "benchmark_timeout"


async def test_a_cancel_keeps_what_came_and_reaches_the_engine(scripted: ScriptedServer) -> None:
    playing(scripted, stalled("So", " far"))
    what = plan(load=Concurrent(concurrency=3, requests=100))
    made = await carried_out(scripted, what, stop_after_s=0.6)
    assert made.end.status == "cancelled"
    assert [sample.text for sample in made.samples] == ["So far"] * 3
    assert {sample.failure.code for sample in made.samples if sample.failure} == {"cancelled"}
    await scripted.until(lambda server: server.open_connections == 0)


async def test_a_cancelled_task_leaves_nothing_behind(scripted: ScriptedServer) -> None:
    playing(scripted, stalled("So"))
    records: list[Record] = []
    load, engine = prepared(scripted, plan(load=Concurrent(concurrency=2, requests=9)), records)
    others = asyncio.all_tasks()
    running = asyncio.create_task(load.run())
    await scripted.until(lambda server: len(asked(server)) == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == others
    assert sum(isinstance(record, Sample) for record in records) == 2
    await engine.aclose()


async def test_it_repeats_until_it_knows_enough(scripted: ScriptedServer) -> None:
    playing(scripted)
    seen: list[list[int]] = []

    def known(repetitions: Sequence[Sequence[Sample]]) -> bool:
        seen.append([len(one) for one in repetitions])
        return len(repetitions) == 4

    until = Convergence(min_repetitions=3, max_repetitions=50)
    made = await carried_out(scripted, plan(until=until), enough=known)
    assert len(made.samples) == 4
    assert seen[-1] == [1, 1, 1, 1]
    most = Convergence(metric="completion_tokens", min_repetitions=3, max_repetitions=50)
    steady = await carried_out(scripted, plan(until=most), enough=enough(most))
    assert len(steady.samples) == 3


async def test_what_warms_up_is_not_counted(scripted: ScriptedServer) -> None:
    playing(scripted)
    made = await carried_out(scripted, plan(warm_up=2, repetitions=3, phases=("warm", "cached")))
    assert len([sample for sample in made.of(Sample) if not sample.counted]) == 2
    assert len(made.samples) == 6
    numbers = [sample.number for sample in made.of(Sample)]
    assert numbers == list(range(8))


async def test_an_engine_that_cannot_unload_has_no_cold_phase(scripted: ScriptedServer) -> None:
    playing(scripted)
    made = await carried_out(scripted, plan(phases=("cold",)))
    assert made.samples == []
    state = made.of(ModelState)[-1]
    assert state.failure is not None
    assert "unload" in state.failure.message


async def test_a_conversation_says_what_was_said(scripted: ScriptedServer) -> None:
    scripted.asks("POST", CHAT, lambda seen: openai_stream([prompt_of(seen).upper()]))
    workload = Conversation(turns=("one", "two", "three"), system="Be loud.")
    made = await carried_out(scripted, plan(workload=workload, repetitions=2))
    assert [(sample.block, sample.turn) for sample in made.samples] == [
        (block, turn) for block in range(2) for turn in range(3)
    ]
    said = [message["content"] for message in asked(scripted)[2].json["messages"]]
    assert said == ["Be loud.", "one", "ONE", "two", "TWO", "three"]


async def test_a_conversation_ends_where_a_turn_fails(scripted: ScriptedServer) -> None:
    bad = json_answer(500, {"error": {"message": "boom"}})
    playing(scripted, openai_stream(["a"]), bad, openai_stream(["b"]))
    workload = Conversation(turns=("one", "two", "three"))
    made = await carried_out(scripted, plan(workload=workload))
    assert [sample.failure is None for sample in made.samples] == [True, False]


async def test_what_was_done_is_not_done_again(scripted: ScriptedServer) -> None:
    playing(scripted)
    workload = Prompts(prompts=("a", "b", "c"))
    what = plan(workload=workload, repetitions=2)
    first = await carried_out(scripted, what)
    kept = [*first.of(Sample)[:4]]
    kept.append(replace(first.of(Sample)[4], failure=Failure("cancelled", "")))
    before = len(asked(scripted))
    rest = await carried_out(scripted, what, done=done(kept))
    assert [prompt_of(seen) for seen in asked(scripted)[before:]] == ["b", "c"]
    assert [sample.number for sample in rest.samples] == [5, 6]
    assert [(sample.block, sample.item) for sample in rest.samples] == [(1, 1), (1, 2)]


async def test_a_conversation_goes_on_where_it_was(scripted: ScriptedServer) -> None:
    scripted.asks("POST", CHAT, lambda seen: openai_stream([prompt_of(seen).upper()]))
    what = plan(workload=Conversation(turns=("one", "two", "three")))
    first = await carried_out(scripted, what)
    rest = await carried_out(scripted, what, done=done(first.of(Sample)[:2]))
    assert [sample.turn for sample in rest.samples] == [2]
    said = [message["content"] for message in asked(scripted)[-1].json["messages"]]
    assert said == ["one", "ONE", "two", "TWO", "three"]


async def test_a_sweep_writes_down_its_steps(scripted: ScriptedServer) -> None:
    playing(scripted, openai_stream(["x"], usage=USAGE, pause_s=0.01))
    what = plan(load=Sweep(rates_per_s=(5, 20), step_s=0.6), objectives={"e2e_s": 30})
    made = await carried_out(scripted, what)
    steps = [record.step for record in made.of(SweepStep)]
    assert (steps[0].rate_per_s, steps[0].requests, steps[0].good) == (5, 3, 3)
    assert [sample.rate_per_s for sample in made.samples][:3] == [5, 5, 5]
    assert len(made.samples) == sum(step.requests for step in steps)
    # Carried on, what was measured is not measured again.
    before = len(asked(scripted))
    rest = await carried_out(scripted, what, done=done(made.records[:-1]))
    assert all(sample.rate_per_s != 5 for sample in rest.samples)
    assert len(asked(scripted)) - before == len(rest.samples)


async def test_a_sweep_ends_where_the_objectives_do_not_hold(scripted: ScriptedServer) -> None:
    playing(scripted, openai_stream(["x"], usage=USAGE, pause_s=0.05))
    what = plan(load=Sweep(rates_per_s=(5, 6, 7), step_s=0.6), objectives={"ttft_s": 0.001})
    made = await carried_out(scripted, what)
    [only] = [record.step for record in made.of(SweepStep)]
    assert (only.good, only.held) == (0, False)


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
