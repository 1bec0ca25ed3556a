"""The pages that a browser shows: the first one after a start, and each of them afterwards."""

import gzip
import statistics
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tools.perf.contestants import Stage, nova
from tools.perf.processes import LoadFailed, Process
from tools.perf.report import Check, Figure, Row
from tools.perf.startup import MOST_S

__all__ = ["first_page", "web_pages"]

PATHS = ("/", "/history", "/compare", "/chat", "/ask", "/ask/memory", "/assistants", "/system")
FIRST = ("/", "/chat", "/ask")
MOST_MS = 300.0
SETTLED_S = 2.0
_FIRST = {
    "at once, wall": (MOST_MS, False),
    "at once, CPU": (MOST_MS, False),
    "at once, CPU since the command": (MOST_S["off"] * 1e3 + MOST_MS, False),
    "two seconds later, wall": (MOST_MS, False),
    "two seconds later, CPU": (MOST_MS, True),
}
"""Each row's limit, and whether it is enforced."""


def first_page(stage: Stage, *, quick: bool) -> Figure:
    """Each server is asked for one page alone: as soon as it says that it is ready, when it still
    makes its services, or when it has had time for that.

    What a start leaves to the first page shows in the CPU since the command, beside the limits of
    a start and of a page together.
    """
    values: dict[str, list[float]] = {name: [] for name in _FIRST}
    for path in FIRST[:1] if quick else FIRST:
        with _server(stage) as server:
            wall_ms, cpu_ms = _asked(server, path)
            since_ms = server.tree_cpu_s() * 1e3
        with _server(stage) as server:
            time.sleep(SETTLED_S)
            settled = _asked(server, path)
        for name, value in zip(_FIRST, (wall_ms, cpu_ms, since_ms, *settled), strict=True):
            values[name].append(value)
    found = {name: statistics.median(some) for name, some in values.items()}
    checks = [
        Check(f"first_page: {name}", found[name], limit, "ms", enforced=enforced)
        for name, (limit, enforced) in _FIRST.items()
    ]
    rows = [Row(name, some) for name, some in values.items()]
    return Figure("first_page", "The first page after a start", "ms", rows, checks)


def web_pages(stage: Stage, *, quick: bool) -> Figure:
    """Each page of a server that has shown all of them before."""
    walls: dict[str, list[float]] = {path: [] for path in PATHS}
    cpus: dict[str, list[float]] = {path: [] for path in PATHS}
    with _server(stage) as server:
        for turn in range(1 + (3 if quick else 9)):
            for path in PATHS:
                wall_ms, cpu_ms = _asked(server, path)
                if turn:
                    walls[path].append(wall_ms)
                    cpus[path].append(cpu_ms)
    most = {path: statistics.median(values) for path, values in cpus.items()}
    longest = {path: statistics.median(values) for path, values in walls.items()}
    slow, late = max(most, key=most.__getitem__), max(longest, key=longest.__getitem__)
    return Figure(
        "web_pages",
        "A page, as the browser gets it",
        "ms",
        [Row(path, values) for path, values in walls.items()],
        [
            Check(f"web_pages: {slow}, the most CPU of all", most[slow], MOST_MS, "ms"),
            Check(f"web_pages: {late}, wall", longest[late], MOST_MS, "ms", enforced=False),
        ],
    )


@contextmanager
def _server(stage: Stage) -> Iterator[Process]:
    with nova(f"{stage.upstream.url}/v1") as server:
        server.wait_for("/ready")
        yield server


def _asked(server: Process, path: str) -> tuple[float, float]:
    """Milliseconds on the wall, and of the server's CPU, until the page was there as a whole."""
    request = urllib.request.Request(
        server.url + path, headers={"Accept": "text/html", "Accept-Encoding": "gzip"}
    )
    before_s, begun = server.tree_cpu_s(), time.perf_counter()
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = answer.read()
    wall_s = time.perf_counter() - begun
    cpu_s = server.tree_cpu_s() - before_s
    if b"</html>" not in gzip.decompress(body):
        raise LoadFailed(f"{path} is not a whole page.")
    return wall_s * 1e3, cpu_s * 1e3
