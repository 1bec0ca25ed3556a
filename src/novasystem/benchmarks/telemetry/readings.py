"""What was seen of the machine: one row a look, all on the clock that requests are stamped with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "GpuReading",
    "Reading",
    "Readings",
    "ServerReading",
    "halved",
    "merged",
    "pack",
    "unpack",
]

_FORMAT = 1


class ServerReading(NamedTuple):
    """The processes of one model server together.

    ``memory_bytes``: the sum of what is resident; pages that they share count in each.
    ``cpu_s``: CPU time since the sampler began, of processes that have ended since too.
    """

    memory_bytes: int
    cpu_s: float
    processes: int


class GpuReading(NamedTuple):
    """One GPU; ``None`` where it does not say.

    ``energy_j``: since the sampler began. ``throttle``: NVML's bits of why its clock is held down.
    """

    percent: float | None
    memory_bytes: int | None
    power_w: float | None
    temperature_c: float | None
    energy_j: float | None
    throttle: int


class Reading(NamedTuple):
    """One look at the machine, at ``at_ns`` of ``perf_counter_ns`` less the origin asked for.

    ``cpu_busy_s``, ``cpu_total_s``: of each core since it was started, so that the use over any
    span is the quotient of two differences and no row between them matters. ``servers`` and
    ``gpus`` stand in the order of :class:`Readings`. ``cpu_energy_j``: since the sampler began.
    """

    at_ns: int
    cpu_busy_s: tuple[float, ...]
    cpu_total_s: tuple[float, ...]
    frequency_mhz: float | None
    memory_bytes: int
    servers: tuple[ServerReading | None, ...] = ()
    gpus: tuple[GpuReading, ...] = ()
    cpu_energy_j: float | None = None


@dataclass(frozen=True, slots=True)
class Readings:
    """All rows of one sampler, and what it could not read: ``absent``, by name, with the reason.

    ``servers``: their names. ``sampler_cpu_s``: CPU time that sampling itself has taken.
    ``skipped``: looks that were left out because the one before was not done yet.
    """

    rows: tuple[Reading, ...] = ()
    servers: tuple[str, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    sampler_cpu_s: float = 0.0
    skipped: int = 0

    def since(self, origin_ns: int) -> "Readings":
        """The same with times that count from ``origin_ns``, such as a benchmark's samples have."""
        rows = tuple(row._replace(at_ns=row.at_ns - origin_ns) for row in self.rows)
        return Readings(rows, self.servers, self.absent, self.sampler_cpu_s, self.skipped)


def halved(rows: Sequence[Reading]) -> list[Reading]:
    """Half as many rows over the same time: every two after the first become one."""
    # The first row stays as it is: what lies at the begin is measured from it.
    return [*rows[:1], *(merged(rows[at : at + 2]) for at in range(1, len(rows), 2))]


def merged(rows: Sequence[Reading]) -> Reading:
    """The last of ``rows``, with the highest gauges of all, and what is a mean as the mean.

    Counters go on counting, so no use of CPU and no joule is lost, and no peak is.
    """
    while len(rows) > 1:
        pairs = [rows[at : at + 2] for at in range(0, len(rows), 2)]
        rows = [_higher(*pair) if len(pair) > 1 else pair[0] for pair in pairs]
    return rows[0]


def _higher(one: Reading, other: Reading) -> Reading:
    servers = tuple(
        late
        if early is None or late is None
        else late._replace(memory_bytes=max(early.memory_bytes, late.memory_bytes))
        for early, late in zip(one.servers, other.servers, strict=True)
    )
    gpus = tuple(_higher_gpu(early, late) for early, late in zip(one.gpus, other.gpus, strict=True))
    return other._replace(
        memory_bytes=max(one.memory_bytes, other.memory_bytes), servers=servers, gpus=gpus
    )


def _higher_gpu(one: GpuReading, other: GpuReading) -> GpuReading:
    return other._replace(
        percent=_mean(one.percent, other.percent),
        memory_bytes=max(filter(None, (one.memory_bytes, other.memory_bytes)), default=None),
        power_w=_mean(one.power_w, other.power_w),
        temperature_c=max(filter(None, (one.temperature_c, other.temperature_c)), default=None),
        throttle=one.throttle | other.throttle,
    )


def _mean(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else (one + other) / 2


def pack(readings: Readings) -> dict[str, Any]:
    """As plain lists and dictionaries, for JSON; the reverse is :func:`unpack`."""
    return {
        "format": _FORMAT,
        "servers": list(readings.servers),
        "absent": dict(readings.absent),
        "sampler_cpu_s": readings.sampler_cpu_s,
        "skipped": readings.skipped,
        "rows": [
            [
                row.at_ns,
                [round(seconds, 3) for seconds in row.cpu_busy_s],
                [round(seconds, 3) for seconds in row.cpu_total_s],
                row.frequency_mhz,
                row.memory_bytes,
                [None if server is None else list(server) for server in row.servers],
                [list(gpu) for gpu in row.gpus],
                row.cpu_energy_j,
            ]
            for row in readings.rows
        ],
    }


def unpack(packed: Mapping[str, Any]) -> Readings:
    """Raises ``ValueError`` for what :func:`pack` has not made."""
    try:
        if packed["format"] != _FORMAT:
            msg = f"format {packed['format']!r} is not known"
            raise ValueError(msg)
        rows = tuple(
            Reading(
                at_ns,
                tuple(busy),
                tuple(total),
                frequency,
                memory,
                tuple(None if server is None else ServerReading(*server) for server in servers),
                tuple(GpuReading(*gpu) for gpu in gpus),
                energy,
            )
            for at_ns, busy, total, frequency, memory, servers, gpus, energy in packed["rows"]
        )
        return Readings(
            rows,
            tuple(packed["servers"]),
            dict(packed["absent"]),
            packed["sampler_cpu_s"],
            packed["skipped"],
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"These are no readings of a sampler: {error}."
        raise ValueError(msg) from error
