"""What the benchmarker's own client costs, and how near the truth it is.

The upstream writes the first token 50 ms after a request has arrived and each further one 20 ms
later, by an absolute schedule. What the load process reports beyond that is the client's (and the
upstream's own lateness, for which the bare client stands beside it where it can make that load).
CPU is all of the load process's, its start included; the figures of times are on the wall and so
only shown.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from novasystem.benchmarks import metrics
from novasystem.benchmarks.loading import loading
from novasystem.benchmarks.plan import (
    Concurrent,
    ConstantRate,
    LoadShape,
    Plan,
    Prompt,
    Synthetic,
)
from novasystem.benchmarks.sample_log import End
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.targets import Pinned
from novasystem.engines.embedded import (
    NOVA_TINY,
    NOVA_TINY_CONTEXT,
    EmbeddedEngine,
    nova_tiny_path,
)
from novasystem.engines.keeper import ChildConfig
from novasystem.engines.openai_http import OpenAIEngine
from tools.perf.contestants import RAW, Stage
from tools.perf.processes import LoadFailed
from tools.perf.report import Check, Figure, Row

__all__ = [
    "FIRST_MS",
    "MODEL",
    "client_decode",
    "client_many",
    "client_one",
    "client_open",
    "measured",
]

MODEL = "paced-64-20-50"
FIRST_MS = 50.0
_EACH_MS = 20.0
_TOKENS = 64


@dataclass(frozen=True)
class _Seen:
    samples: list[Sample]
    end: End

    @property
    def ttft_ms(self) -> list[float]:
        return [
            (sample.first_token_ns - sample.sent_ns) / 1e6
            for sample in self.samples
            if sample.first_token_ns is not None and sample.sent_ns is not None
        ]

    @property
    def span_s(self) -> float:
        """From the first sending to the last end."""
        sent = [sample.sent_ns or 0 for sample in self.samples]
        return (max(sample.ended_ns for sample in self.samples) - min(sent)) / 1e9

    @property
    def sent_s(self) -> float:
        sent = [sample.sent_ns or 0 for sample in self.samples]
        return (max(sent) - min(sent)) / 1e9

    @property
    def rate_per_s(self) -> float:
        return (len(self.samples) - 1) / self.sent_s

    @property
    def late_ms(self) -> float:
        late = [(sample.sent_ns or 0) - sample.scheduled_ns for sample in self.samples]
        return statistics.mean(late) / 1e6

    @property
    def chunk_us(self) -> float:
        return self.end.load_cpu_s / sum(sample.chunks for sample in self.samples) * 1e6

    @property
    def busiest(self) -> float:
        return max(self.end.load_cpus_s, default=self.end.load_cpu_s) / self.span_s


def client_one(stage: Stage, *, quick: bool) -> Figure:
    """One request after the other, 26 s of them."""
    requests = 4 if quick else 20
    seen = measured(stage, Concurrent(concurrency=1, requests=requests))
    ttft = statistics.mean(seen.ttft_ms)
    each = [
        (s.last_token_ns - s.first_token_ns) / 1e6 / (_TOKENS - 1)
        for s in seen.samples
        if s.last_token_ns is not None and s.first_token_ns is not None
    ]
    bare = stage.client.run(stage.contestants[0].job(MODEL, requests, 1))
    table = [
        Row("first token beyond 50 ms, mean, ms", [ttft - FIRST_MS]),
        Row(f"the same by {RAW}", [statistics.mean(bare.ttft_s) * 1e3 - FIRST_MS]),
        Row("time per token beyond 20 ms, mean, ms", [statistics.mean(each) - _EACH_MS]),
        *_cpu_rows(seen),
    ]
    checks = [
        # The process's start costs the same however long it runs, the rest by the second.
        Check(
            "client at 1: CPU of 26 s",
            _cpu_of(seen, 26.0),
            1.0,
            "s",
            enforced=not quick,
        ),
        Check("client at 1: beyond the truth", ttft - FIRST_MS, 0.3, "ms", enforced=False),
    ]
    title = f"The benchmarker's client, one at a time ({requests} requests)"
    return Figure("client_one", title, "ms, s", table, checks)


def client_many(stage: Stage, *, quick: bool) -> Figure:
    """256 at once."""
    requests = 512 if quick else 2048
    seen = measured(stage, Concurrent(concurrency=256, requests=requests))
    bare = stage.client.run(stage.contestants[0].job(MODEL, requests, 256))
    bare_ms = [value * 1e3 for value in bare.ttft_s]
    mean, p99 = _mean_p99(seen.ttft_ms)
    table = [
        Row("first token beyond 50 ms, mean, ms", [mean - FIRST_MS]),
        Row("first token beyond 50 ms, p99, ms", [p99 - FIRST_MS]),
        Row(f"mean by {RAW}", [_mean_p99(bare_ms)[0] - FIRST_MS]),
        Row(f"p99 by {RAW}", [_mean_p99(bare_ms)[1] - FIRST_MS]),
        *_cpu_rows(seen),
    ]
    checks = [
        Check("client at 256: mean beyond the truth", mean - FIRST_MS, 3, "ms", enforced=False),
        Check("client at 256: p99 beyond the truth", p99 - FIRST_MS, 20, "ms", enforced=False),
    ]
    title = f"The benchmarker's client, 256 at once ({requests} requests)"
    return Figure("client_many", title, "ms, s", table, checks)


def client_open(stage: Stage, *, quick: bool) -> Figure:
    """An open loop of 500 requests/s: some 650 answers under way, 32,000 tokens a second.

    By one process and by two, in turn, since one alone is not enough for it on slow machines.
    """
    rate = 500.0
    requests = int(rate * (4 if quick else 8))
    load = ConstantRate(rate_per_s=rate, requests=requests)
    table: list[Row] = []
    seen: dict[int, list[_Seen]] = {1: [], 2: []}
    for _ in range(1 if quick else 3):
        for processes, known in seen.items():
            known.append(measured(stage, load, processes=processes))
    for processes, known in seen.items():
        by = "one process" if processes == 1 else "two processes"
        beyond = [_mean_p99(one.ttft_ms) for one in known]
        table += [
            Row(f"requests a second, {by}", [one.rate_per_s for one in known]),
            Row("first token beyond 50 ms, mean, ms", [mean - FIRST_MS for mean, _ in beyond]),
            Row("first token beyond 50 ms, p99, ms", [p99 - FIRST_MS for _, p99 in beyond]),
            Row("schedule delay, mean, ms", [one.late_ms for one in known]),
            Row("CPU of the load per chunk, µs", [one.chunk_us for one in known]),
            Row("CPU of the busiest, of a core", [one.busiest for one in known]),
            Row("event loop late, most, ms", [one.end.lag_ns / 1e6 for one in known]),
        ]
    pairs = zip(seen[1], seen[2], strict=True)
    table.append(
        Row("two reach, times one", [two.rate_per_s / one.rate_per_s for one, two in pairs])
    )
    # What is chosen for such a load on the two cores for which the limit is.
    achieved = statistics.median(one.rate_per_s for one in seen[2])
    mean = statistics.median(_mean_p99(one.ttft_ms)[0] for one in seen[2])
    checks = [
        Check("open loop: rate", achieved, 0.995 * rate, "1/s", at_most=False, enforced=False),
        Check("open loop: mean beyond the truth", mean - FIRST_MS, 5, "ms", enforced=False),
    ]
    title = f"The benchmarker's client, an open loop of {rate:g} requests/s ({requests} requests)"
    return Figure("client_open", title, "1/s, ms, µs", table, checks)


def client_decode(stage: Stage, *, quick: bool) -> Figure:
    """The embedded model: its decode rate as seen from here, beside llama.cpp's own timings."""
    workload = Synthetic(prompt_tokens=64, output_tokens=640)
    plan = Plan(models=(NOVA_TINY,), workload=workload, repetitions=2 if quick else 10)
    config = ChildConfig(nova_tiny_path(), NOVA_TINY, NOVA_TINY_CONTEXT, slots=1, threads=1)
    engine = EmbeddedEngine("embedded", config)
    seen = asyncio.run(_load(Pinned(NOVA_TINY, NOVA_TINY, engine), plan))
    apart, residual_ms = [], []
    for sample in seen.samples:
        own, server = metrics.output_tokens_per_s(sample), metrics.decode_tokens_per_s(sample)
        residual_s = metrics.residual_s(sample)
        assert own is not None
        assert server is not None
        assert residual_s is not None
        apart.append((own / server - 1) * 100)
        residual_ms.append(residual_s * 1e3)
    table = [
        Row("decode rate beyond llama.cpp's own, %", apart),
        Row("first token beyond its prompt evaluation, ms", residual_ms),
    ]
    off = abs(statistics.median(apart))
    checks = [Check("decode rate: off llama.cpp's own", off, 2, "%", enforced=False)]
    title = f"Decode rate over 640 tokens of the embedded model ({len(apart)} requests)"
    return Figure("client_decode", title, "%, ms", table, checks)


def _cpu_rows(seen: _Seen) -> list[Row]:
    return [
        Row("CPU of the process, s", [seen.end.cpu_s]),
        Row("CPU of the load alone, s", [seen.end.load_cpu_s]),
        Row("CPU of the load per chunk, µs", [seen.chunk_us]),
        Row("event loop late, most, ms", [seen.end.lag_ns / 1e6]),
        Row("wall clock, s", [seen.span_s]),
    ]


def _cpu_of(seen: _Seen, seconds: float) -> float:
    start_s = seen.end.cpu_s - seen.end.load_cpu_s
    return start_s + seen.end.load_cpu_s * seconds / seen.span_s


def _mean_p99(values: Sequence[float]) -> tuple[float, float]:
    return statistics.mean(values), sorted(values)[int(0.99 * (len(values) - 1))]


def measured(stage: Stage, load: LoadShape, *, processes: int = 1) -> _Seen:
    plan = Plan(models=(MODEL,), workload=Prompt(prompt="Hi."), load=load, processes=processes)
    engine = OpenAIEngine("upstream", stage.upstream.url, flavour="openai")
    seen = asyncio.run(_load(Pinned(MODEL, MODEL, engine), plan))
    wrong = [s for s in seen.samples if s.completion_tokens != _TOKENS or s.chunks < _TOKENS]
    if wrong:
        raise LoadFailed(f"An answer has not the tokens that it should have: {wrong[0]}")
    return seen


async def _load(pinned: Pinned, plan: Plan) -> _Seen:
    samples: list[Sample] = []
    end: End | None = None
    with tempfile.TemporaryDirectory(prefix="nova-perf-") as folder:
        log_path = Path(folder) / "samples.log"
        async with loading(plan, "perf", [pinned], log_path) as running:
            async for record in running.records():
                if isinstance(record, Sample) and record.counted:
                    samples.append(record)
                elif isinstance(record, End):
                    end = record
    await pinned.engine.aclose()
    failed = [sample.failure for sample in samples if sample.failure is not None]
    if end is None or end.status != "completed" or failed or not samples:
        why = failed[0].message if failed else str(end)
        raise LoadFailed(f"The benchmarker's client did not get what it asked for: {why}")
    return _Seen(samples, end)
