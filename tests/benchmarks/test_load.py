"""What a load asks, of which model, and where it ends."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from novasystem.benchmarks.asking import IN_A_ROW
from novasystem.benchmarks.load import enough
from novasystem.benchmarks.plan import (
    Concurrent,
    Convergence,
    Conversation,
    Limits,
    Matrix,
    Prompts,
    Sweep,
    Synthetic,
)
from novasystem.benchmarks.resuming import done
from novasystem.benchmarks.sample_log import ModelState, Record, SweepStep
from novasystem.benchmarks.samples import Failure, Sample
from tests.benchmarks.loads import (
    CHAT,
    USAGE,
    asked,
    carried_out,
    plan,
    playing,
    prepared,
    prompt_of,
    stalled,
)
from tests.servers.answers import (
    json_answer,
    openai_stream,
)
from tests.servers.scripted import ScriptedServer, Seen


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
