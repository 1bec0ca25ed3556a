"""NVML without a GPU: its functions, their units and their way to fail, as the C library has them.

It shows that we ask and convert rightly by NVML's documentation; whether a real driver answers so
is seen only on a machine that has one.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

__all__ = ["Card", "FakeNvml", "NVMLError"]


class NVMLError(Exception):
    """The root of what NVML's Python binding raises."""


@dataclass
class Card:
    """``power_w`` and ``joules`` of ``None``: the card does not support being asked."""

    name: str = "NVIDIA H200"
    percent: int = 50
    memory: int = 20 * 2**30
    total: int = 140 * 2**30
    power_w: float | None = 300.0
    celsius: int = 61
    joules: float | None = 1000.0
    throttle: int = 0
    asked: list[str] = field(default_factory=list)


class FakeNvml:
    """``broken``: what ``nvmlInit`` fails with. ``old``: a driver before 535."""

    NVMLError = NVMLError

    def __init__(self, cards: list[Card], *, broken: str = "", old: bool = False) -> None:
        self.cards = cards
        self.broken = broken
        self.old = old
        self.open = 0

    def nvmlInit(self) -> None:
        if self.broken:
            raise NVMLError(self.broken)
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        return self.cards[index]

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.86.10"

    def nvmlDeviceGetName(self, card: Card) -> bytes:
        return card.name.encode()

    def nvmlDeviceGetMemoryInfo(self, card: Card) -> Any:
        return SimpleNamespace(total=card.total, used=card.memory, free=card.total - card.memory)

    def nvmlDeviceGetUtilizationRates(self, card: Card) -> Any:
        return SimpleNamespace(gpu=card.percent, memory=10)

    def nvmlDeviceGetPowerUsage(self, card: Card) -> int:
        card.asked.append("power")
        return int(self._told(card.power_w) * 1000)

    def nvmlDeviceGetTemperature(self, card: Card, sensor: int) -> int:
        assert sensor == 0
        return card.celsius

    def nvmlDeviceGetTotalEnergyConsumption(self, card: Card) -> int:
        card.asked.append("energy")
        return int(self._told(card.joules) * 1000)

    def nvmlDeviceGetCurrentClocksEventReasons(self, card: Card) -> int:
        if self.old:
            msg = "Function Not Found"
            raise NVMLError(msg)
        return card.throttle

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card: Card) -> int:
        return card.throttle

    def _told(self, value: float | None) -> float:
        if value is None:
            msg = "Not Supported"
            raise NVMLError(msg)
        return value
