"""Words and badges that several pages show."""

from dataclasses import dataclass
from datetime import UTC, datetime

from novasystem.benchmarks.plan import Mode
from novasystem.benchmarks.records import BenchmarkStatus
from novasystem.engines.protocol import Model

__all__ = ["MODES", "Badge", "Moment", "mode_badge", "model_detail", "size", "status_badge"]

MODES: dict[Mode, str] = {
    "parallel": "All models answer at the same time and share the machine: how they do together.",
    "sequential": "One model after the other, each with the machine to itself: how fast each is.",
}


@dataclass(frozen=True, slots=True)
class Badge:
    """``kind``: the style's class: good, bad, warning, accent, or none."""

    text: str
    kind: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """``iso`` for programs, which show it in the reader's zone; ``text`` until they have."""

    iso: str
    text: str

    @classmethod
    def of(cls, at: datetime) -> "Moment":
        return cls(at.isoformat(timespec="seconds"), f"{at:%Y-%m-%d %H:%M} {at.tzname() or ''}")

    @classmethod
    def of_ms(cls, at_ms: int) -> "Moment":
        """``at_ms``: as the database has it."""
        return cls.of(datetime.fromtimestamp(at_ms / 1000, UTC))


_STATUSES: dict[BenchmarkStatus, Badge] = {
    "queued": Badge("waiting", "accent"),
    "running": Badge("running", "accent working"),
    "completed": Badge("completed", "good"),
    "partial": Badge("in part", "warning", "Some models or requests failed."),
    "failed": Badge("failed", "bad"),
    "cancelled": Badge("cancelled", "warning", "What had arrived by then is kept."),
}


def status_badge(status: BenchmarkStatus) -> Badge:
    return _STATUSES[status]


def mode_badge(mode: Mode) -> Badge:
    return Badge(mode, "accent" if mode == "parallel" else "", MODES[mode])


def size(size_bytes: int | None) -> str:
    """``3.3 MB``, ``4.7 GB``: as model libraries write it; empty where it is not known."""
    if size_bytes is None:
        return ""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.1f} MB"


def model_detail(model: Model) -> str:
    """What tells a model from others: parameters, quantisation, size, engine."""
    told = (
        f"{model.parameters} parameters" if model.parameters else "",
        model.quantization or "",
        size(model.size_bytes),
        model.engine,
    )
    return " · ".join(part for part in told if part)
