"""One model at one pinned address: past the registry's queue and past its balancing."""

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from novasystem.engines.connect import connect
from novasystem.engines.protocol import Address, Engine

if TYPE_CHECKING:
    # The load process starts without it.
    from novasystem.engines.registry import Registry

__all__ = ["Pinned", "Reached", "Target", "make_cold", "pin", "target_of"]


class Reached(Protocol):
    """One model as the load reaches it. ``model`` as it was asked for, ``name`` as its engine
    calls it."""

    @property
    def model(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def engine(self) -> Engine: ...

    async def make_cold(self) -> int | None:
        """As :func:`make_cold`."""
        ...

    async def renew(self) -> None:
        """After a failure: look whether the engine is to be found elsewhere now."""
        ...


@dataclass(frozen=True, slots=True)
class Pinned:
    """Reached from the process that keeps the engine."""

    model: str
    name: str
    engine: Engine

    async def make_cold(self) -> int | None:
        return await make_cold(self.engine, self.name)

    async def renew(self) -> None:
        """An engine of our own finds its child by itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """What another process needs to reach it. ``kept``: the engine is a child of ours, so that
    loading and unloading it, and where it is after a restart, are asked of its keeper."""

    model: str
    name: str
    engine: str
    address: Address
    kept: bool

    def connect(self) -> Engine:
        return connect(self.engine, self.address, exact=True)

    def plain(self) -> dict[str, Any]:
        """As JSON, the key in it."""
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Target":
        return cls(**{**plain, "address": Address(**plain["address"])})


async def pin(registry: "Registry", model: str) -> Pinned:
    """The model at the least loaded address of its engine, from now on at that one alone.

    Raises ``ModelNotFound``, ``InvalidRequest`` and what keeps its engine from answering.
    """
    resolved = await registry.resolve(model)
    return Pinned(model, resolved.model, resolved.pool.place(resolved.model).engine)


async def target_of(pinned: Pinned) -> Target:
    """Raises ``EngineUnavailable`` where a child of ours does not start."""
    engine = pinned.engine
    address = await engine.address()
    return Target(pinned.model, pinned.name, engine.name, address, engine.kind == "embedded")


async def make_cold(engine: Engine, name: str) -> int | None:
    """Take the model out of memory. Where the engine does not bring it back within the request, it
    is brought back here, and what that took is returned, in ns."""
    await engine.unload(name)
    if engine.kind != "embedded":
        return None
    began_ns = time.perf_counter_ns()
    await engine.load(name)
    return time.perf_counter_ns() - began_ns
