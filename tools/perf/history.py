"""A page of a long history of benchmarks: under each filter, in each order, with its total."""

import asyncio
import datetime
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.benchmarks.records import Benchmark, Result, Throughput, Timing
from novasystem.benchmarks.stores import Query
from novasystem.benchmarks.stores.bitmaps import pack_bits, place
from novasystem.benchmarks.stores.encode import encode, light
from novasystem.benchmarks.stores.facts import METRICS, Head, microseconds
from novasystem.benchmarks.stores.sql import SqlStore
from novasystem.benchmarks.stores.times import time_terms
from novasystem.storage.database import Database, database_url
from novasystem.storage.migrate import upgrade
from novasystem.storage.tables import (
    benchmark_bodies,
    benchmark_owners,
    benchmark_terms,
    benchmarks,
)
from tests.servers.postgres import find_postgres, postgres_server
from tools.perf.contestants import Stage
from tools.perf.report import Check, Figure, Row

__all__ = ["history_page"]

BENCHMARKS = 100_000
MOST_MS = 20.0
_AT_ONCE = 2_000
_FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_MINUTE = datetime.timedelta(minutes=1)
_HALF = _FIRST + BENCHMARKS // 2 * _MINUTE
_TEMPLATE_ID = b"bench_000000000000000000000000"
_Filled = tuple[str, Database, Callable[[], float]]
_LETTERS = "bcdfghklmnprst"


def queries() -> dict[str, Query]:
    """What is asked, by the name that it is shown under."""
    week = _HALF + datetime.timedelta(days=7)
    return {
        "newest first": Query(),
        "the 100th page": Query(offset=4_950),
        "one model of two": Query(model="m0"),
        "a model of few": Query(model="rare"),
        "succeeded": Query(success=True),
        "failed": Query(success=False),
        "archived": Query(archived=True),
        "a word of every prompt": Query(text="what"),
        "three words of every prompt": Query(text="what is meaning"),
        "a word of few prompts": Query(text=word(7)),
        "the beginning of words": Query(text=word(7)[:3]),
        "since half the time": Query(since=_HALF),
        "within a week": Query(since=_HALF, until=week),
        "by time to first token": Query(sort="ttft_s", descending=False),
        "by tokens per second": Query(sort="tokens_per_s"),
        "by total time, 100th page": Query(sort="total_s", offset=4_950),
        "since half the time, by first token": Query(since=_HALF, sort="ttft_s"),
        "within a week, by total time": Query(since=_HALF, until=week, sort="total_s"),
        "all filters at once": Query(
            text="what mean", model="m0", success=True, since=_FIRST + _MINUTE, until=_HALF,
            sort="tokens_per_s",
        ),
    }  # fmt: skip


FAR = {"newest first, at 50,000": Query(offset=50_000)}
"""Shown only: whoever goes that far takes pages ``after`` each other, which cost as the first."""


def word(number: int) -> str:
    """One of a few thousand made-up words."""
    found = ""
    for _ in range(4):
        number, letter = divmod(number * 31 + 5, len(_LETTERS))
        found += _LETTERS[letter] + "aeiou"[number % 5]
    return found


def history_page(stage: Stage, *, quick: bool) -> Figure:
    """The CPU is that of all who take part: this process, and the database's own.

    PostgreSQL's tables are vacuumed before, as it does by itself within minutes.
    """
    del stage
    walls: dict[str, list[float]] = {}
    checks = []
    with _databases() as found:
        for name, database, cpu_s in found:
            for what, query in (queries() | FAR).items():
                store = SqlStore(database)
                times, cpu_ms = asyncio.run(_measured(store, query, 5 if quick else 20, cpu_s))
                walls[f"{name}: {what}"] = times
                shown = f"history_page: {name}, {what}"
                checks.append(
                    Check(f"{shown}, CPU", cpu_ms, MOST_MS, "ms", enforced=what not in FAR)
                )
                p50 = statistics.median(times)
                checks.append(Check(f"{shown}, p50", p50, MOST_MS, "ms", enforced=False))
    title = f"A page of 50 among {BENCHMARKS:,} benchmarks, its total included"
    rows = [Row(name, times) for name, times in walls.items()]
    return Figure("history_page", title, "ms", rows, checks)


async def _measured(
    store: SqlStore, query: Query, rounds: int, cpu_s: Callable[[], float]
) -> tuple[list[float], float]:
    for _ in range(2):
        await store.list(query)
    times = []
    before_s = cpu_s()
    for _ in range(rounds):
        begun = time.perf_counter()
        page = await store.list(query)
        times.append((time.perf_counter() - begun) * 1e3)
        assert page.total, query
    return times, (cpu_s() - before_s) * 1e3 / rounds


@contextmanager
def _databases() -> Iterator[Iterator[_Filled]]:
    """Each database with the history in it, and a clock of the CPU that is used on its behalf."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="nova-perf-")))

        def found() -> Iterator[_Filled]:
            with closing(_filled(None, folder)) as database:
                yield "SQLite", database, time.process_time
            if find_postgres() is None:
                return
            server = running.enter_context(postgres_server())
            with closing(_filled(server.url(), folder)) as database:
                server.execute("VACUUM ANALYZE")
                parent = psutil.Process(server.process.pid)

                def both_s() -> float:
                    return time.process_time() + sum(map(_used_s, parent.children()))

                yield "PostgreSQL", database, both_s

        yield found()


def _used_s(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)


def _filled(url: str | None, folder: Path) -> Database:
    database = Database(database_url(url, folder))
    upgrade(database, folder / "backups")
    database.write_now(_fill)
    return database


def _fill(connection: Connection) -> None:
    """What 100,000 puts would leave, in seconds instead of minutes."""
    terms: dict[tuple[str, int], int] = defaultdict(int)
    rows: list[dict[str, Any]] = []
    bodies: list[dict[str, Any]] = []
    for number, (head, body) in enumerate(_made()):
        values = {name: head.metric(name) for name in METRICS}
        row = {"key": number + 1, "id": head.id, "owner_id": "local", "number": number}
        rows.append(row | {"at_us": head.at_us} | values)
        bodies.append({"benchmark_key": number + 1, "light": body, "whole": b"", "terms": b""})
        chunk, bit = place(number)
        for term in head.terms | time_terms(head.at_us):
            terms[term, chunk] |= 1 << bit
        if len(rows) == _AT_ONCE:
            connection.execute(sa.insert(benchmarks), rows)
            connection.execute(sa.insert(benchmark_bodies), bodies)
            rows, bodies = [], []
    sets = [
        {"owner_id": "local", "term": term, "chunk": chunk, "bits": pack_bits(bits)}
        for (term, chunk), bits in terms.items()
    ]
    connection.execute(sa.insert(benchmark_terms), sets)
    owner = {"owner_id": "local", "next_number": BENCHMARKS, "version": "1"}
    connection.execute(sa.insert(benchmark_owners), owner)


def _made() -> Iterator[tuple[Head, bytes]]:
    """The facts of each, and a body of the usual size, the same but for its id."""
    draw = random.Random(5)
    template = encode(light(_template()))
    known = [word(number) for number in range(5000)]
    first_us, minute_us = microseconds(_FIRST), 60_000_000
    for number in range(BENCHMARKS):
        words = {"what", "is", "the", "meaning", "of", *draw.choices(known, k=12)}
        head = Head(
            id=f"bench_{draw.getrandbits(96):024x}",
            at_us=first_us + number * minute_us,
            status=draw.choices(("completed", "partial", "failed"), (90, 5, 5))[0],
            archived=number % 20 == 1,
            models=frozenset({f"m{number % 2}", "rare" if number % 1000 == 0 else "m9"}),
            words=frozenset(words),
            ttft_s=draw.uniform(0.01, 2),
            tokens_per_s=draw.uniform(1, 200),
            total_s=draw.uniform(1, 60),
        )
        yield head, template.replace(_TEMPLATE_ID, head.id.encode())


def _template() -> Benchmark:
    results = tuple(
        Result(
            model=model,
            success=True,
            timestamp=_FIRST,
            timing=Timing(time_to_first_chunk=0.1, time_to_first_token=0.1, total_time=3.5),
            throughput=Throughput(total_chunks=100, output_tokens_per_second=31.4),
            response="The answer is of some length. " * 10,
            requests=10,
        )
        for model in ("m0", "m9")
    )
    return Benchmark(
        id=_TEMPLATE_ID.decode(),
        timestamp=_FIRST,
        status="completed",
        mode="parallel",
        prompt="What is the meaning of this?",
        results=results,
    )
