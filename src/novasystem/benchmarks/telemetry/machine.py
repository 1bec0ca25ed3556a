"""The machine as a whole: use of each core, frequency, memory."""

from typing import NamedTuple

import psutil

__all__ = ["Machine", "MachineReading", "Thinned"]

_FREQUENCY_EVERY = 10


class MachineReading(NamedTuple):
    """Seconds of each core since it was started; bytes in use, caches that can go not counted."""

    cpu_busy_s: tuple[float, ...]
    cpu_total_s: tuple[float, ...]
    frequency_mhz: float | None
    memory_bytes: int


class Thinned:
    """Says yes at every ``n``-th question, and at the first: for what is dear to read."""

    def __init__(self, n: int) -> None:
        self._n = max(1, n)
        self._left = 0

    def due(self) -> bool:
        self._left -= 1
        if self._left >= 0:
            return False
        self._left = self._n - 1
        return True


class Machine:
    """Reads the kernel's own counters; one look takes about 0.2 ms."""

    def __init__(self, frequency_every: int = _FREQUENCY_EVERY) -> None:
        self.absent: dict[str, str] = {}
        self._frequency_due = Thinned(frequency_every)
        self._frequency_mhz: float | None = None

    def read(self) -> MachineReading:
        cores = psutil.cpu_times(percpu=True)
        # Guest time is a part of user time, and would count twice.
        totals = [
            sum(core) - getattr(core, "guest", 0.0) - getattr(core, "guest_nice", 0.0)
            for core in cores
        ]
        idle = [core.idle + getattr(core, "iowait", 0.0) for core in cores]
        if self._frequency_due.due():
            self._frequency_mhz = self._frequency()
        return MachineReading(
            tuple(total - at_rest for total, at_rest in zip(totals, idle, strict=True)),
            tuple(totals),
            self._frequency_mhz,
            psutil.virtual_memory().used,
        )

    def _frequency(self) -> float | None:
        try:
            frequency = psutil.cpu_freq()
        except (NotImplementedError, OSError, RuntimeError) as error:
            self.absent["cpu_frequency_mhz"] = f"the system does not say: {error}"
            return None
        if frequency is None or not frequency.current:
            self.absent["cpu_frequency_mhz"] = "the system does not say"
            return None
        return float(frequency.current)
