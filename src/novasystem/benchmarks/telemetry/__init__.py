"""What the machine did while a benchmark ran: looked at by a thread, on the requests' clock.

What looks at the machine needs psutil, and is loaded by its first use: a server starts without it.
"""

from typing import TYPE_CHECKING, Any

from novasystem.benchmarks.telemetry.figures import Curves, MachineFigures, ServerFigures
from novasystem.benchmarks.telemetry.impact import core_percent, impact
from novasystem.benchmarks.telemetry.kept import keep_readings, kept_readings
from novasystem.benchmarks.telemetry.readings import (
    GpuReading,
    Reading,
    Readings,
    ServerReading,
    pack,
    unpack,
)

if TYPE_CHECKING:
    from novasystem.benchmarks.telemetry.sampler import Sampler
    from novasystem.benchmarks.telemetry.servers import ByPid, ByPort, Finder, finder

__all__ = [
    "ByPid",
    "ByPort",
    "Curves",
    "Finder",
    "GpuReading",
    "MachineFigures",
    "Reading",
    "Readings",
    "Sampler",
    "ServerFigures",
    "ServerReading",
    "core_percent",
    "finder",
    "impact",
    "keep_readings",
    "kept_readings",
    "pack",
    "unpack",
]


def __getattr__(name: str) -> Any:
    if name == "Sampler":
        from novasystem.benchmarks.telemetry import sampler

        return sampler.Sampler
    if name in {"ByPid", "ByPort", "Finder", "finder"}:
        from novasystem.benchmarks.telemetry import servers

        return getattr(servers, name)
    msg = f"module '{__name__}' has no attribute '{name}'"
    raise AttributeError(msg)
