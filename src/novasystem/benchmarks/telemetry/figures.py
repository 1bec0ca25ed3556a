"""What the machine does now, for who watches: use since the look before, not counters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from novasystem.benchmarks.telemetry.gpu import throttle_names
from novasystem.benchmarks.telemetry.readings import GpuReading, Reading

if TYPE_CHECKING:
    from novasystem.benchmarks.telemetry.sampler import Sampler

__all__ = ["Curves", "MachineFigures", "ServerFigures", "between"]


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """``cpu_percent``: 100 is one core. ``memory_bytes``: resident, of all its processes."""

    cpu_percent: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class MachineFigures:
    """At ``at_ns`` of the benchmark's own axis, on which its requests are too.

    ``cpu_percent``: of each core. ``servers``: by the engine's name; ``None`` where its processes
    are not seen. ``cpu_power_w``: of the processor's packages. ``absent``: why something is not
    there, as in a result.
    """

    at_ns: int
    cpu_percent: tuple[float, ...]
    frequency_mhz: float | None
    memory_bytes: int
    servers: Mapping[str, ServerFigures | None]
    gpus: tuple[GpuReading, ...]
    cpu_power_w: float | None
    absent: Mapping[str, str]

    def plain(self) -> dict[str, object]:
        """As JSON, without the time and the reasons."""
        return {
            "cpu_percent": [round(percent) for percent in self.cpu_percent],
            "frequency_mhz": None if self.frequency_mhz is None else round(self.frequency_mhz),
            "memory_bytes": self.memory_bytes,
            "cpu_power_w": self.cpu_power_w,
            "servers": {
                name: one
                and {"cpu_percent": round(one.cpu_percent), "memory_bytes": one.memory_bytes}
                for name, one in self.servers.items()
            },
            "gpus": [
                {
                    "percent": gpu.percent,
                    "memory_bytes": gpu.memory_bytes,
                    "power_w": gpu.power_w,
                    "temperature_c": gpu.temperature_c,
                    "throttled": throttle_names(gpu.throttle),
                }
                for gpu in self.gpus
            ],
        }


def between(
    before: Reading,
    row: Reading,
    servers: tuple[str, ...] = (),
    absent: Mapping[str, str] | None = None,
    *,
    origin_ns: int = 0,
) -> MachineFigures:
    """What was done from ``before`` to ``row``, a later look of the same sampler."""
    span_s = (row.at_ns - before.at_ns) / 1e9
    cores = zip(before.cpu_busy_s, before.cpu_total_s, row.cpu_busy_s, row.cpu_total_s, strict=True)
    found: dict[str, ServerFigures | None] = {}
    for name, early, late in zip(servers, before.servers, row.servers, strict=True):
        used_s = None if early is None or late is None else late.cpu_s - early.cpu_s
        if late is None or used_s is None:
            found[name] = None
        else:
            found[name] = ServerFigures(100 * max(0.0, used_s) / span_s, late.memory_bytes)
    energy_j = None
    if before.cpu_energy_j is not None and row.cpu_energy_j is not None:
        energy_j = row.cpu_energy_j - before.cpu_energy_j
    return MachineFigures(
        row.at_ns - origin_ns,
        tuple(_percent(busy - was, total - at) for was, at, busy, total in cores),
        row.frequency_mhz,
        row.memory_bytes,
        found,
        row.gpus,
        None if energy_j is None else round(energy_j / span_s, 2),
        dict(absent or {}),
    )


def _percent(busy_s: float, total_s: float) -> float:
    """The kernel counts in hundredths of a second: of a short span it may be a little off."""
    return min(100.0, max(0.0, 100 * busy_s / total_s)) if total_s > 0 else 0.0


class Curves:
    """Asked again and again, the figures since the last time."""

    def __init__(self, sampler: "Sampler") -> None:
        self._sampler = sampler
        self._before: Reading | None = None

    def next(self, origin_ns: int) -> MachineFigures | None:
        """``None`` where there was no look since. ``origin_ns``: what times count from."""
        row, absent = self._sampler.latest()
        before, self._before = self._before, row
        if row is None or before is None or row.at_ns <= before.at_ns:
            return None
        if len(before.cpu_busy_s) != len(row.cpu_busy_s):
            # A core was taken away or came back.
            return None
        return between(before, row, self._sampler.servers, absent, origin_ns=origin_ns)
