"""The parent's llama.cpp processes: one for each embedded engine, for all workers together."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from novasystem.engines.keeper import ChildConfig
from novasystem.engines.supervisor import Supervisor
from novasystem.errors import EngineError
from novasystem.serving.words import Word

__all__ = ["Children"]


class Children:
    """``tell`` is called with a word for all workers whenever a child starts or is gone."""

    def __init__(self, configs: Mapping[str, ChildConfig], tell: Callable[[Word], None]) -> None:
        self._tell = tell
        self._supervisors = {
            name: Supervisor(name, config, partial(self._changed, name))
            for name, config in configs.items()
        }

    @property
    def engines(self) -> list[str]:
        return list(self._supervisors)

    def states(self) -> list[Word]:
        """How each of them is now, for a worker that begins."""
        return [self._state(name) for name in self._supervisors]

    async def do(self, name: str, what: str) -> Word | None:
        """Carry out what a worker asks; what kept us from it, if anything did."""
        supervisor = self._supervisors[name]
        try:
            if what == "stop":
                await supervisor.stop()
            else:
                await supervisor.address()
        except EngineError as error:
            return {"engine": name, "message": error.message, "hint": error.hint}
        return None

    async def aclose(self) -> None:
        await asyncio.gather(*(supervisor.aclose() for supervisor in self._supervisors.values()))

    def _changed(self, name: str) -> None:
        self._tell(self._state(name))

    def _state(self, name: str) -> Word:
        supervisor = self._supervisors[name]
        address = supervisor.current
        return {
            "child": name,
            "address": None if address is None else asdict(address),
            "restarts": supervisor.restarts,
            "last_exit": supervisor.last_exit,
        }
