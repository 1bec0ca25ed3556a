"""NVIDIA's GPUs, through NVML; other makers' are not seen."""

import time
from typing import Any, NamedTuple

from novasystem.benchmarks.telemetry.readings import GpuReading

__all__ = ["Card", "Gpus", "throttle_names"]

# Only what slows a busy GPU down; an idle one, and one whose clock was set, is not throttled.
_THROTTLE = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "temperature, by the driver",
    0x40: "temperature, by the hardware",
    0x80: "power brake",
}
_TEMPERATURE_GPU = 0


def throttle_names(bits: int) -> tuple[str, ...]:
    """What holds a GPU's clock down, in words."""
    return tuple(name for bit, name in _THROTTLE.items() if bits & bit)


class Card(NamedTuple):
    """A GPU as it is listed; ``memory_bytes`` and ``driver`` are ``None`` where it is silent."""

    name: str
    memory_bytes: int | None
    driver: str | None


class _Gpu:
    """One card, with what it was found not to tell and its joules so far."""

    def __init__(self, handle: Any, number: int) -> None:
        self.handle = handle
        self.number = number
        self.silent: set[str] = set()
        self.first_mj: int | None = None
        self.energy_j = 0.0
        self.last: tuple[int, float] | None = None


class Gpus:
    """All of NVML's GPUs; ``absent`` says why there is none, or what they do not tell.

    ``library``: what offers NVML's functions, by default ``pynvml``; loaded by the first use, so
    that a machine without a driver needs nothing.
    """

    def __init__(self, library: Any = None) -> None:
        self.absent: dict[str, str] = {}
        self._library = library
        self._gpus: list[_Gpu] = []
        self._open = False
        try:
            if self._library is None:
                import pynvml

                self._library = pynvml
            self._library.nvmlInit()
            self._open = True
            count = self._library.nvmlDeviceGetCount()
            for number in range(count):
                handle = self._library.nvmlDeviceGetHandleByIndex(number)
                self._gpus.append(_Gpu(handle, number))
        except ImportError as error:
            self.absent["gpu"] = f"the package nvidia-ml-py is not installed: {error}"
        except self._library.NVMLError as error:
            self.absent["gpu"] = f"NVIDIA's driver does not answer: {error}"
        else:
            if not self._gpus:
                self.absent["gpu"] = "NVIDIA's driver knows of no GPU"

    def __len__(self) -> int:
        return len(self._gpus)

    def cards(self) -> tuple[Card, ...]:
        driver = self._ask(None, "nvmlSystemGetDriverVersion")
        found = []
        for gpu in self._gpus:
            memory = self._ask(gpu, "nvmlDeviceGetMemoryInfo")
            name = self._ask(gpu, "nvmlDeviceGetName")
            total = None if memory is None else int(memory.total)
            found.append(Card(_text(name) or f"GPU {gpu.number}", total, _text(driver)))
        return tuple(found)

    def read(self) -> tuple[GpuReading, ...]:
        return tuple(self._read(gpu) for gpu in self._gpus)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._gpus = []
            try:
                self._library.nvmlShutdown()
            except self._library.NVMLError as error:
                self.absent["gpu"] = f"NVIDIA's driver does not answer: {error}"

    def _read(self, gpu: _Gpu) -> GpuReading:
        use = self._ask(gpu, "nvmlDeviceGetUtilizationRates", "gpu_percent")
        memory = self._ask(gpu, "nvmlDeviceGetMemoryInfo", "gpu_memory")
        power_mw = self._ask(gpu, "nvmlDeviceGetPowerUsage", "gpu_power_w")
        degrees = self._ask(gpu, "nvmlDeviceGetTemperature", "gpu_temperature_c", _TEMPERATURE_GPU)
        power_w = None if power_mw is None else power_mw / 1000
        return GpuReading(
            None if use is None else float(use.gpu),
            None if memory is None else int(memory.used),
            power_w,
            None if degrees is None else float(degrees),
            self._energy_j(gpu, power_w),
            self._throttle(gpu),
        )

    def _energy_j(self, gpu: _Gpu, power_w: float | None) -> float | None:
        """From the card's own counter; where it has none, its power over time (trapezoids)."""
        counter_mj = self._ask(gpu, "nvmlDeviceGetTotalEnergyConsumption")
        if counter_mj is not None:
            if gpu.first_mj is None:
                gpu.first_mj = counter_mj
            return float(counter_mj - gpu.first_mj) / 1000
        if gpu.first_mj is not None or power_w is None:
            return None
        now_ns = time.perf_counter_ns()
        if gpu.last is not None:
            at_ns, before_w = gpu.last
            gpu.energy_j += (now_ns - at_ns) / 1e9 * (before_w + power_w) / 2
        gpu.last = (now_ns, power_w)
        return gpu.energy_j

    def _throttle(self, gpu: _Gpu) -> int:
        bits = self._ask(gpu, "nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:
            # Its name before driver 535.
            bits = self._ask(gpu, "nvmlDeviceGetCurrentClocksThrottleReasons", "gpu_throttled")
        return int(bits or 0)

    def _ask(self, gpu: _Gpu | None, function: str, figure: str = "", *more: Any) -> Any:
        """The answer, or ``None``; what a card does not support is asked for once only."""
        if gpu is not None and function in gpu.silent:
            return None
        try:
            return getattr(self._library, function)(*(() if gpu is None else (gpu.handle,)), *more)
        except (self._library.NVMLError, AttributeError) as error:
            if gpu is not None:
                gpu.silent.add(function)
                if figure:
                    self.absent[figure] = f"GPU {gpu.number} does not say: {error}"
            return None


def _text(value: Any) -> str | None:
    """NVML's older bindings give bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
