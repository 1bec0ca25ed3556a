"""When the requests of a load leave, however long the answers take."""

import asyncio
import itertools
import time

import pytest

from novasystem.benchmarks.plan import (
    Burst,
    Concurrent,
    ConstantRate,
    Limits,
    Trace,
    TracedRequest,
)
from novasystem.benchmarks.sample_log import ClientFigures
from tests.benchmarks.loads import USAGE, asked, carried_out, plan, playing, prompt_of, stalled
from tests.servers.answers import (
    openai_stream,
)
from tests.servers.scripted import ScriptedServer


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
