"""Looks at the machine ten times a second, in a thread of its own, and says what that cost."""

import threading
import time
from collections.abc import Mapping
from types import TracebackType

import structlog

from novasystem.benchmarks.telemetry.energy import Rapl
from novasystem.benchmarks.telemetry.gpu import Gpus
from novasystem.benchmarks.telemetry.machine import Machine
from novasystem.benchmarks.telemetry.readings import Reading, Readings, halved, merged
from novasystem.benchmarks.telemetry.servers import Finder, Server

__all__ = ["Sampler"]

_MAX_ROWS = 16_384

_log = structlog.get_logger(__name__)


class Sampler:
    """``with Sampler({"ollama": finder(engine)}) as sampler: ...``, then ``sampler.readings()``.

    ``servers``: by name, how the processes of each model server are found. ``hz``: looks a second.
    ``origin_ns``: what is taken off every time. ``rapl``, ``gpus``: where those are not this
    machine's own. Begin it a second or two before the first request, so that the machine at rest
    is known.

    It never fails: what cannot be read is absent, with the reason. Its memory is bounded: past
    ``max_rows`` rows every two become one (27 minutes at 10 Hz), and then each look is one of two
    that make a row.
    """

    def __init__(
        self,
        servers: Mapping[str, Finder] | None = None,
        *,
        hz: float = 10.0,
        origin_ns: int = 0,
        rapl: Rapl | None = None,
        gpus: Gpus | None = None,
        max_rows: int = _MAX_ROWS,
    ) -> None:
        if not 0 < hz <= 1000:
            msg = f"hz: {hz} is not between 0 and 1000"
            raise ValueError(msg)
        self._interval_s = 1 / hz
        self._origin_ns = origin_ns
        self._max_rows = max(4, max_rows)
        each_second = max(1, round(hz))
        self._finders = dict(servers or {})
        self._servers: list[Server] = []
        self._each_second = each_second
        self._machine = Machine(each_second)
        self._rapl = rapl
        self._gpus = gpus
        self._rows: list[Reading] = []
        self._pending: list[Reading] = []
        self._looks_a_row = 1
        self._absent: dict[str, str] = {}
        self._broken = ""
        self._cpu_s = 0.0
        self._skipped = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first row is there when this returns.

        That can take a second where a GPU's driver is loaded: an event loop calls it in a thread.
        """
        if self._thread is not None:
            msg = "A sampler begins once."
            raise RuntimeError(msg)
        first = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(first,), name="nova-telemetry", daemon=True
        )
        self._thread.start()
        # A driver that hangs must not hang the benchmark.
        first.wait(10)

    def stop(self) -> Readings:
        """End after one more look, so that the last moment is covered; what was read."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(10)
        return self.readings()

    def readings(self) -> Readings:
        """All that was read up to now; may be asked at any time and from any thread."""
        with self._lock:
            rows = (*self._rows, merged(self._pending)) if self._pending else tuple(self._rows)
            return Readings(
                rows, tuple(self._finders), dict(self._absent), self._cpu_s, self._skipped
            )

    @property
    def servers(self) -> tuple[str, ...]:
        """The names of the model servers, in the order of a row's."""
        return tuple(self._finders)

    def latest(self) -> tuple[Reading | None, Mapping[str, str]]:
        """The newest look, times as the clock has them, and what cannot be read, with the reason;
        dear neither in a long benchmark."""
        with self._lock:
            rows = self._pending or self._rows
            return (rows[-1] if rows else None), self._absent

    def __enter__(self) -> "Sampler":
        self.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, first: threading.Event) -> None:
        # Made here, since loading NVML can take a second, and none of it is the caller's business.
        self._servers = [Server(find, self._each_second) for find in self._finders.values()]
        rapl = self._rapl or Rapl()
        gpus = self._gpus or Gpus()
        # Loading is over before anything is measured: what counts is what looking costs.
        began_s = time.thread_time()
        due_s = time.perf_counter()
        try:
            while True:
                last = self._end.is_set()
                try:
                    self._look(rapl, gpus, began_s)
                except Exception as error:
                    self._failed(error)
                first.set()
                if last:
                    return
                due_s += self._interval_s
                late_s = time.perf_counter() - due_s
                if late_s > 0:
                    missed = int(late_s / self._interval_s) + 1
                    self._skipped += missed
                    due_s += missed * self._interval_s
                self._end.wait(due_s - time.perf_counter())
        finally:
            if self._gpus is None:
                gpus.close()

    def _failed(self, error: Exception) -> None:
        """What nobody foresaw: told once in the log, and with the readings."""
        if not self._broken:
            _log.error("the machine could not be looked at", exc_info=error)
            self._broken = f"a look at the machine failed: {error}"
        with self._lock:
            self._absent["telemetry"] = self._broken

    def _look(self, rapl: Rapl, gpus: Gpus, began_s: float) -> None:
        machine = self._machine.read()
        servers = tuple(server.read() for server in self._servers)
        joules = rapl.read()
        cards = gpus.read()
        row = Reading(time.perf_counter_ns() - self._origin_ns, *machine, servers, cards, joules)
        absent = {**self._machine.absent, **rapl.absent, **gpus.absent}
        for name, server in zip(self._finders, self._servers, strict=True):
            if server.absent is not None:
                absent[f"server.{name}"] = server.absent
        if self._broken:
            absent["telemetry"] = self._broken
        with self._lock:
            self._keep(row)
            self._absent = absent
            self._cpu_s = time.thread_time() - began_s

    def _keep(self, row: Reading) -> None:
        self._pending.append(row)
        if len(self._pending) < self._looks_a_row and self._rows:
            return
        self._rows.append(merged(self._pending))
        self._pending = []
        if len(self._rows) >= self._max_rows:
            self._rows = halved(self._rows)
            self._looks_a_row *= 2
