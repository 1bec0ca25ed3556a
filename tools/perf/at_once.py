"""Many benchmarks at once: whether all of them answer, and what they take together."""

import contextlib
import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.perf.contestants import Stage, nova
from tools.perf.processes import Process
from tools.perf.report import Check, Figure, Row

__all__ = ["benchmarks_at_once"]

AT_ONCE = 50
_LOOK_S = 0.25
_PATIENCE_S = 300.0


def benchmarks_at_once(stage: Stage, *, quick: bool) -> Figure:
    """``POST /api/benchmarks/run`` so often at the same moment, each of three requests, and each
    with a load process of its own. Memory is what the server and its children take together,
    pages that they share counted once."""
    count = 10 if quick else AT_ONCE
    with nova(f"{stage.upstream.url}/v1") as server:
        server.wait_for("/ready")
        most = _Most(server)
        before_mb = most.now_mb()
        began = time.perf_counter()
        with most, ThreadPoolExecutor(count) as threads:
            answers = list(threads.map(lambda _: _benchmark(server), range(count)))
        took_s = time.perf_counter() - began
    good = sum(status == 200 and done for status, done in answers)
    rows = [
        Row("answered, whole", [good]),
        Row("time until the last one, s", [took_s]),
        Row("memory before, MB", [before_mb]),
        Row("memory at the most, MB", [most.mb]),
        Row("more for each, MB", [(most.mb - before_mb) / count]),
    ]
    check = Check("benchmarks at once: answered", good, count, "", at_most=False)
    title = f"{count} benchmarks at the same time"
    return Figure("benchmarks_at_once", title, "", rows, [check])


def _benchmark(server: Process) -> tuple[int, bool]:
    """The status, and whether all three requests were answered."""
    body = {"prompt": "Hi.", "models": ["burst-64"], "repetitions": 3, "warm_up": 0}
    address = ("127.0.0.1", server.port, _PATIENCE_S)
    with contextlib.closing(http.client.HTTPConnection(*address)) as connection:
        headers = {"content-type": "application/json"}
        connection.request("POST", "/api/benchmarks/run", json.dumps(body), headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
    summary = found.get("summary", {})
    return answer.status, summary.get("requests") == 3 and not summary.get("failed_requests")


class _Most:
    """The most memory that a server and its children have taken, while it is entered."""

    def __init__(self, server: Process) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.mb = 0.0

    def __enter__(self) -> "_Most":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def now_mb(self) -> float:
        return sum(map(_pss_bytes, self._server.tree())) / 1e6

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            self.mb = max(self.mb, self.now_mb())


def _pss_bytes(pid: int) -> int:
    """Its share of the pages that it uses; 0 for one that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
