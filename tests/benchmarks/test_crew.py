"""A load made by several processes: real ones, killed and told to stop at any moment."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from novasystem.benchmarks.crew import PROGRAM
from novasystem.benchmarks.former import load_process, wait_for_former
from novasystem.benchmarks.loading import Loading, loading
from novasystem.benchmarks.metrics import schedule_delay_s
from novasystem.benchmarks.outcome import Parts
from novasystem.benchmarks.plan import (
    Concurrent,
    ConstantRate,
    Convergence,
    Limits,
    Parameters,
    Plan,
    Sweep,
    Synthetic,
    Trace,
    TracedRequest,
)
from novasystem.benchmarks.sample_log import End, Header, ModelState, Record, SweepStep, read_log
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.targets import Pinned
from novasystem.engines.embedded import EmbeddedEngine
from novasystem.engines.keeper import ChildConfig
from novasystem.engines.openai_http import OpenAIEngine
from tests.benchmarks.loads import USAGE, asked, plan, playing
from tests.engines.children import alive, eventually
from tests.servers.answers import Sleep, Stall, Step, head, json_answer, openai_stream
from tests.servers.scripted import ScriptedServer, Seen

QUICK = openai_stream(["x"], usage=USAGE)


def far(server: ScriptedServer) -> Pinned:
    return Pinned("m", "m", OpenAIEngine("far", server.url, flavour="openai"))


def samples(records: Sequence[Record]) -> list[Sample]:
    return [record for record in records if isinstance(record, Sample)]


async def every(load: Loading) -> list[Record]:
    return [record async for record in load.records()]


async def whole(server: ScriptedServer, what: Plan, path: Path) -> list[Record]:
    async with loading(what, "b", [far(server)], path) as load:
        return await every(load)


def pids(records: Sequence[Record]) -> tuple[int, ...]:
    header = [record for record in records if isinstance(record, Header)][-1]
    return (header.pid, *header.workers)


def end(records: Sequence[Record]) -> End:
    last = records[-1]
    assert isinstance(last, End)
    return last


async def begun(path: Path, server: ScriptedServer, wanted: int) -> tuple[int, ...]:
    await server.until(lambda one: len(asked(one)) >= wanted, 60)
    return pids(list(read_log(path)))


def shared(*texts: str) -> list[Step]:
    return [*openai_stream(texts, finish=None, done=False)[:-1], Stall()]


async def test_an_open_loop_is_shared_and_keeps_one_schedule(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    playing(scripted, QUICK)
    load = ConstantRate(rate_per_s=100, requests=61)
    records = await whole(scripted, plan(load=load, processes=3, warm_up=2), tmp_path / "log")
    assert len(set(pids(records))) == 3
    assert not any(alive(pid) for pid in pids(records))
    found = samples(records)
    assert len({one.number for one in found}) == len(found) == 63
    # What warms up is asked once, not once by each.
    assert [one.counted for one in sorted(found, key=lambda one: one.number)] == [
        *[False] * 2,
        *[True] * 61,
    ]
    counted = sorted((one for one in found if one.counted), key=lambda one: one.number)
    first_ns = counted[0].scheduled_ns
    for n, one in enumerate(counted):
        assert one.scheduled_ns - first_ns == pytest.approx(n * 10_000_000, abs=2)
        assert one.sent_ns is not None
        delay_s = schedule_delay_s(one)
        assert delay_s is not None
        assert delay_s > -0.001
    last = end(records)
    assert last.status == "completed"
    assert len(last.load_cpus_s) == len(last.lags_ns) == 3
    assert all(cpu_s > 0 for cpu_s in last.load_cpus_s)
    assert last.load_cpu_s == pytest.approx(sum(last.load_cpus_s))
    assert last.lag_ns == max(last.lags_ns)
    assert last.cpu_s > last.load_cpu_s
    header = records[0]
    assert isinstance(header, Header)
    # That the others were started is before the begin: no interpreter starts in so short a time.
    assert header.begins_ns > 10_000_000
    assert header.begins_ns <= first_ns
    client = Parts.of(records).client
    assert client.processes == 3
    assert client.busiest_s == max(last.load_cpus_s)


async def test_a_closed_loop_shares_its_concurrency(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    playing(scripted, openai_stream(["x"], usage=USAGE, pause_s=0.03))
    what = plan(load=Concurrent(concurrency=5, requests=40), repetitions=2, processes=2)
    records = await whole(scripted, what, tmp_path / "log")
    found = samples(records)
    assert len(found) == 80
    assert sorted(one.number for one in found) == list(range(80))
    assert scripted.connections == 5
    # No block begins before all of the one before it has ended.
    blocks = [[one for one in found if one.block == block] for block in (0, 1)]
    assert [len(block) for block in blocks] == [40, 40]
    ended_ns = max(one.ended_ns for one in blocks[0])
    assert min(one.scheduled_ns for one in blocks[1]) >= ended_ns
    edges = sorted(edge for one in found for edge in ((one.scheduled_ns, 1), (one.ended_ns, -1)))
    under_way = most = 0
    for _, step in edges:
        under_way += step
        most = max(most, under_way)
    assert most <= 5


async def test_a_sweep_is_judged_by_what_all_have_made(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    playing(scripted, QUICK)
    load = Sweep(rates_per_s=(20, 40), step_s=0.5)
    what = plan(load=load, objectives={"e2e_s": 30}, processes=2)
    records = await whole(scripted, what, tmp_path / "log")
    steps = [record.step for record in records if isinstance(record, SweepStep)]
    assert (steps[0].requests, steps[0].good) == (10, 10)
    assert sum(step.requests for step in steps) == len(samples(records)) == len(asked(scripted))
    assert {one.rate_per_s for one in samples(records)} == {step.rate_per_s for step in steps}


async def test_it_repeats_until_all_know_enough(scripted: ScriptedServer, tmp_path: Path) -> None:
    playing(scripted, [*head_of(), Sleep(0.05), *QUICK[1:]])
    what = plan(
        load=Concurrent(concurrency=2, requests=4),
        until=Convergence(min_repetitions=3, max_repetitions=8, relative_half_width=0.9),
        processes=2,
    )
    records = await whole(scripted, what, tmp_path / "log")
    assert end(records).status == "completed"
    assert len(samples(records)) % 4 == 0
    assert 12 <= len(samples(records)) <= 32


def head_of() -> list[Step]:
    return [head(content_type="text/event-stream")]


async def test_made_up_prompts_and_a_trace_are_each_asked_once(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    def answer(seen: Seen) -> list[Step]:
        words = sum(len(message["content"].split(" ")) for message in seen.json["messages"])
        usage = {"prompt_tokens": words, "completion_tokens": 1, "total_tokens": words + 1}
        return openai_stream(["x"], usage=usage)

    scripted.asks("POST", "/v1/chat/completions", answer)
    what = plan(
        workload=Synthetic(prompt_tokens=70, output_tokens=1),
        load=Concurrent(concurrency=4, requests=12),
        processes=2,
    )
    records = await whole(scripted, what, tmp_path / "log")
    made = samples(records)
    assert [one.prompt_tokens for one in made] == [70] * 12
    texts = [seen.json["messages"][-1]["content"] for seen in asked(scripted)]
    long = [text for text in texts[-12:]]
    assert len(set(long)) == 12

    requests = tuple(TracedRequest(at_s=n * 0.02, prompt=f"p{n}") for n in range(9))
    before = len(asked(scripted))
    again = plan(workload=Trace(requests=requests), processes=2)
    records = await whole(scripted, again, tmp_path / "other")
    assert sorted(one.item for one in samples(records)) == list(range(9))
    texts = [seen.json["messages"][-1]["content"] for seen in asked(scripted)[before:]]
    assert sorted(texts) == [f"p{n}" for n in range(9)]


async def test_a_cancel_reaches_all_and_keeps_what_came(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    playing(scripted, shared("So", " far"))
    path = tmp_path / "log"
    what = plan(load=Concurrent(concurrency=4, requests=50), processes=2)
    async with loading(what, "b", [far(scripted)], path) as load:
        going = await begun(path, scripted, 4)
        await asyncio.sleep(0.3)
        load.stop()
        records = await every(load)
    await scripted.until(lambda server: server.open_connections == 0)
    assert [one.text for one in samples(records)] == ["So far"] * 4
    assert {one.failure.code for one in samples(records) if one.failure} == {"cancelled"}
    assert end(records).status == "cancelled"
    assert not any(alive(pid) for pid in going)


async def test_what_is_stopped_before_it_began_is_answered_too(tmp_path: Path) -> None:
    begin = {"plan": plan().model_dump(mode="json"), "log": str(tmp_path / "log")}
    words: list[dict[str, Any]] = [{"worker": {**begin, "benchmark_id": "b", "origin_ns": 0}}]
    for number in range(50):
        nothing: dict[str, Any] = {"model": "m", "target": {}, "texts": None}
        words += [{"do": number, "prepare": nothing}, {"stop": number, "why": None}]
    pipe = asyncio.subprocess.PIPE
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", PROGRAM, stdin=pipe, stdout=pipe
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(b"".join(orjson.dumps(word) + b"\n" for word in words))
    answered: set[int] = set()
    async with asyncio.timeout(60):
        while len(answered) < 50:
            word = orjson.loads(await worker.stdout.readline())
            answered |= {word["done"]} if "done" in word else set()
        worker.stdin.close()
        await worker.wait()


async def test_a_models_limit_ends_its_requests_in_all_and_no_others(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    def answer(seen: Seen) -> list[Step]:
        return shared("So") if seen.json["model"] == "slow" else QUICK

    scripted.asks("POST", "/v1/chat/completions", answer)
    engine = OpenAIEngine("far", scripted.url, flavour="openai")
    what = plan(
        models=("slow", "m"),
        mode="sequential",
        load=Concurrent(concurrency=4, requests=12),
        limits=Limits(model_s=5),
        processes=2,
    )
    models = [Pinned(name, name, engine) for name in what.models]
    async with loading(what, "b", models, tmp_path / "log") as load:
        records = await every(load)
    slow = [one for one in samples(records) if one.model == "slow"]
    assert [one.failure and one.failure.code for one in slow] == ["model_timeout"] * 4
    assert [one.failure for one in samples(records) if one.model == "m"] == [None] * 12
    assert end(records).status == "completed"


async def test_one_that_is_killed_fails_the_load_with_the_reason(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    playing(scripted, openai_stream(["x"], usage=USAGE, pause_s=0.02))
    path = tmp_path / "log"
    what = plan(load=Concurrent(concurrency=4, requests=60), processes=2)
    async with loading(what, "b", [far(scripted)], path) as load:
        first, other = await begun(path, scripted, 8)
        os.kill(other, signal.SIGKILL)
        records = await every(load)
    failed = end(records)
    assert (failed.status, failed.failure and failed.failure.code) == ("failed", "load_failed")
    assert failed.failure is not None
    assert "signal 9" in failed.failure.message
    states = [one for one in records if isinstance(one, ModelState)]
    assert (states[-1].state, states[-1].failure) == ("failed", failed.failure)
    assert not alive(first)
    had = [one for one in samples(records) if one.failure is None]
    assert 0 < len(had) < 60

    # What arrived stays; what did not is made again, and nothing else.
    carried_on = await whole(scripted, what, path)
    assert end(carried_on).status == "completed"
    assert len({one.number for one in samples(list(read_log(path)))}) >= 60
    parts = Parts.of(read_log(path))
    good = [one for one in parts.samples if one.counted and one.failure is None]
    assert len(good) == 60
    assert not [one for one in parts.samples if one.counted and one.failure is not None]
    assert all(alive(pid) is False for pid in pids(carried_on))


async def test_when_the_first_is_killed_the_others_end_and_it_goes_on_behind_them(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    playing(scripted, openai_stream(["x"], usage=USAGE, pause_s=0.02))
    path = tmp_path / "log"
    what = plan(load=Concurrent(concurrency=4, requests=60), processes=2)
    async with loading(what, "b", [far(scripted)], path) as load:
        first, other = await begun(path, scripted, 12)
        os.kill(first, signal.SIGKILL)
        records = await every(load)
        assert end(records).failure is not None
        await wait_for_former(path)
        assert not alive(other)
        assert load_process(path) is None
    had = [one for one in samples(list(read_log(path))) if one.failure is None]
    assert had
    carried_on = await whole(scripted, what, path)
    good = [one for one in samples(list(read_log(path))) if one.failure is None]
    assert end(carried_on).status == "completed"
    assert len({one.number for one in good}) == len(good) == 60


async def test_it_ends_when_whoever_started_it_is_gone(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    playing(scripted, shared("So"))
    path = tmp_path / "log"
    what = plan(load=Concurrent(concurrency=4, requests=50), processes=2)
    async with loading(what, "b", [far(scripted)], path):
        going = await begun(path, scripted, 4)
    assert await asyncio.to_thread(eventually, lambda: not any(map(alive, going)), 10.0)
    await scripted.until(lambda server: server.open_connections == 0)
    assert len(samples(list(read_log(path)))) == 4


async def test_what_is_refused_in_one_is_given_up_in_all(
    scripted: ScriptedServer, tmp_path: Path
) -> None:
    refused = json_answer(400, {"error": {"message": "No such thing."}})
    playing(scripted, refused)
    what = plan(load=Concurrent(concurrency=4, requests=400), processes=2)
    records = await whole(scripted, what, tmp_path / "log")
    states = [one for one in records if isinstance(one, ModelState)]
    assert states[-1].state == "failed"
    assert states[-1].failure is not None
    assert "No such thing" in states[-1].failure.message
    assert len(asked(scripted)) < 100
    assert end(records).status == "completed"


async def test_a_restarted_model_is_found_again_by_all(weights: Path, tmp_path: Path) -> None:
    """Only whoever started the first process knows its next address: the others ask through it."""
    engine = EmbeddedEngine("embedded", ChildConfig(weights, "nova-tiny", 512, 2, 1))
    what = plan(
        load=Concurrent(concurrency=2, requests=60),
        parameters=Parameters(max_tokens=16),
        processes=2,
    )
    pinned = [Pinned("nova-tiny", "nova-tiny", engine)]
    async with loading(what, "b", pinned, tmp_path / "log") as load:
        killed = False
        records: list[Record] = []
        async for record in load.records():
            records.append(record)
            if len(samples(records)) >= 6 and not killed:
                killed = True
                os.kill((await engine.keeper.address()).pid, signal.SIGKILL)
    await engine.aclose()
    counted = [one for one in samples(records) if one.counted]
    assert len(counted) == 60
    failed = [one for one in counted if one.failure is not None]
    assert 1 <= len(failed) < 20
    # Of each process the last ones have come from the new address.
    last = sorted(counted, key=lambda one: one.number)[-6:]
    assert [one.failure for one in last] == [None] * 6
