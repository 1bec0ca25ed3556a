"""CPU and memory of whoever does the work: the engine's process where it is on this machine,
otherwise this one."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from novasystem.engines.protocol import Engine
from novasystem.engines.registry import Registry
from novasystem.errors import NovaError

__all__ = ["Meter", "Reading", "Watch", "Watched", "used"]

_MB = 1_000_000
Measured = Literal["engine", "server"]


class Figures(Protocol):
    @property
    def memory_bytes(self) -> int: ...

    @property
    def cpu_s(self) -> float: ...


class Watched(Protocol):
    """The processes of one engine."""

    def read(self) -> Figures | None:
        """``None`` where none of them is seen."""
        ...


Watch = Callable[[Engine], Watched]


@dataclass(frozen=True, slots=True)
class Reading:
    """``at_s`` on a clock that only goes forward."""

    at_s: float
    cpu_s: float
    memory_mb: float
    measured: Measured


class Meter:
    """Reads the processes of the models that one ask uses."""

    def __init__(self, registry: Registry, watch: Watch) -> None:
        self._registry = registry
        self._watch = watch
        self._watched: dict[str, Watched] = {}
        self._lock = asyncio.Lock()

    async def read(self, model: str) -> Reading:
        """Raises what keeps the model's engine from being found."""
        resolved = await self._registry.resolve(model)
        async with self._lock:
            return await asyncio.to_thread(self._read, resolved.pool.name, resolved.pool.engines[0])

    async def since(
        self, before: Reading, model: str
    ) -> tuple[float | None, float | None, Measured | None]:
        """CPU and memory since that reading, as :func:`used` has them, and whose they are; unknown
        where the engine is not found any more."""
        try:
            after = await self.read(model)
        except NovaError:
            return None, None, None
        return *used(before, after), after.measured

    def _read(self, name: str, engine: Engine) -> Reading:
        watched = self._watched.get(name)
        if watched is None:
            watched = self._watched[name] = self._watch(engine)
        figures = watched.read()
        now = time.perf_counter()
        if figures is not None:
            return Reading(now, figures.cpu_s, figures.memory_bytes / _MB, "engine")
        import psutil

        times = os.times()
        memory = psutil.Process().memory_info().rss
        return Reading(now, times.user + times.system, memory / _MB, "server")


def used(before: Reading, after: Reading) -> tuple[float | None, float]:
    """CPU in percent of one core and memory in MB (10⁶ bytes) between two readings."""
    passed = after.at_s - before.at_s
    if before.measured != after.measured or passed <= 0:
        return None, round(after.memory_mb, 1)
    return round(100 * (after.cpu_s - before.cpu_s) / passed, 1), round(after.memory_mb, 1)
