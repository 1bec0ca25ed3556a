"""What the machine did while a benchmark ran: looked at by a thread, on the requests' clock."""

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
from novasystem.benchmarks.telemetry.sampler import Sampler
from novasystem.benchmarks.telemetry.servers import ByPid, ByPort, Finder, finder

__all__ = [
    "ByPid",
    "ByPort",
    "Finder",
    "GpuReading",
    "Reading",
    "Readings",
    "Sampler",
    "ServerReading",
    "core_percent",
    "finder",
    "impact",
    "keep_readings",
    "kept_readings",
    "pack",
    "unpack",
]
