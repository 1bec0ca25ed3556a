"""A model as a load process reaches it: at its address, and through its keeper where it has one."""

from contextlib import suppress
from typing import Any

from novasystem.benchmarks.link import Link
from novasystem.benchmarks.targets import Target, make_cold
from novasystem.engines.protocol import Engine
from novasystem.errors import EngineUnavailable

__all__ = ["Distant"]


class Distant:
    """A model at its address; see :class:`~novasystem.benchmarks.targets.Reached`."""

    def __init__(self, target: Target, link: Link) -> None:
        self.target = target
        self._link = link
        self._engine = target.connect()
        self._former: list[Engine] = []

    @property
    def model(self) -> str:
        return self.target.model

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def engine(self) -> Engine:
        return self._engine

    async def make_cold(self) -> int | None:
        if not self.target.kept:
            return await make_cold(self._engine, self.name)
        answer = await self._link.ask("cold", self.model)
        await self.moved(Target.of(answer["target"]))
        load_ns: int | None = answer["load_ns"]
        return load_ns

    async def renew(self) -> None:
        if self.target.kept:
            with suppress(EngineUnavailable):
                await self.renewed()

    async def renewed(self) -> dict[str, Any]:
        """As :meth:`renew`, with the answer; raises ``EngineUnavailable``."""
        answer = await self._link.ask("renew", self.model, target=self.target.plain())
        await self.moved(Target.of(answer["target"]))
        return answer

    async def moved(self, target: Target) -> None:
        """From now on it is asked there."""
        if target.address == self.target.address:
            return
        self.target = target
        # Other requests may still be at the former one.
        self._former.append(self._engine)
        self._engine = target.connect()
        await self._engine.capabilities(self.name)

    async def aclose(self) -> None:
        for engine in (*self._former, self._engine):
            await engine.aclose()
