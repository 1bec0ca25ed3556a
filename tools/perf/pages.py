"""A page at the end of a long thread, beside the same page of a short one."""

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from novasystem.storage.database import Database, database_url
from novasystem.threads import store
from novasystem.threads.records import NewItem
from tests.servers.postgres import find_postgres, postgres_server
from tools.perf.client import Job
from tools.perf.contestants import Stage, nova
from tools.perf.processes import Process
from tools.perf.report import Check, Figure, Row
from tools.perf.upstream import TOKEN

__all__ = ["thread_page"]

ITEMS = 10_000
PAGE = 20
MOST_MS = 5.0
MOST_RATIO = 1.5
_AT_ONCE = 1_000


@dataclass(frozen=True)
class _Pages:
    """The newest page of a thread with ``items``, at one server."""

    server: Process
    database: str
    items: int
    thread_id: str

    @property
    def name(self) -> str:
        return f"{self.database}, of {self.items:,} items"

    def job(self, requests: int) -> Job:
        url = f"{self.server.url}/v1/threads/thread_{self.thread_id}/messages?limit={PAGE}"
        return Job(url, None, PAGE, requests, 1)


def thread_page(stage: Stage, *, quick: bool) -> Figure:
    """The ratio holds on any machine; the CPU is the server's, and the database's own beside it
    where that is in the server."""
    times: dict[str, list[float]] = {}
    cpus: dict[str, list[float]] = {}
    checks = []
    with _threads(stage) as pairs:
        for turn in range(1 + (3 if quick else 9)):
            for pages in [one for pair in pairs for one in pair[:: 1 if turn % 2 else -1]]:
                before_s = pages.server.cpu_s()
                outcome = stage.client.run(pages.job(100))
                cpu_ms = (pages.server.cpu_s() - before_s) * 1e3 / outcome.requests
                if turn:
                    p50_ms = statistics.median(outcome.took_s) * 1e3
                    times.setdefault(pages.name, []).append(p50_ms)
                    cpus.setdefault(pages.name, []).append(cpu_ms)
        for short, long in pairs:
            ratios = zip(times[long.name], times[short.name], strict=True)
            ratio = statistics.median(one / other for one, other in ratios)
            where = f"thread_page: {long.database}"
            what = f"{where}, times the page of a thread of {PAGE}"
            checks.append(Check(what, ratio, MOST_RATIO, "x"))
            checks.append(Check(f"{where}, CPU", statistics.median(cpus[long.name]), MOST_MS, "ms"))
            wall_ms = statistics.median(times[long.name])
            checks.append(Check(f"{where}, p50", wall_ms, MOST_MS, "ms", enforced=False))
    table = [Row(name, values) for name, values in times.items()]
    title = f"The last page of a thread, {PAGE} messages, p50"
    return Figure("thread_page", title, "ms", table, checks)


@contextmanager
def _threads(stage: Stage) -> Iterator[list[tuple[_Pages, _Pages]]]:
    """On each database a thread that fills one page, and a long one."""
    upstream = f"{stage.upstream.url}/v1"
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="nova-perf-"))
        urls = {"SQLite": f"sqlite:///{folder}/nova.db"}
        if find_postgres() is not None:
            urls["PostgreSQL"] = running.enter_context(postgres_server()).url()
        found = []
        for name, url in urls.items():
            server = running.enter_context(nova(upstream, settings={"NOVA_DATABASE_URL": url}))
            server.wait_for("/ready")
            with closing(Database(database_url(url, Path(folder)))) as database:
                short = _Pages(server, name, PAGE, _filled(database, PAGE))
                found.append((short, _Pages(server, name, ITEMS, _filled(database, ITEMS))))
        yield found


def _filled(database: Database, count: int) -> str:
    """A thread of so many messages, by its id."""
    thread_id = uuid4().hex
    thread = database.write_now(store.create, thread_id, "local")
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        new = [NewItem("message", f"{TOKEN} {number}", role="user") for number in numbers]
        database.write_now(store.add, thread.key, new)
    return thread_id
