"""Who keeps an embedded engine's child process: this process, or one that it is asked of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["ChildAddress", "ChildConfig", "Keeper"]


@dataclass(frozen=True, slots=True)
class ChildConfig:
    """What the child serves. ``context_tokens``: per slot; ``threads``: 0 for llama.cpp's choice.

    ``cache_mib``: memory for prompts that left their slot, beyond the slots themselves.
    """

    model_path: Path
    model_name: str
    context_tokens: int = 4096
    slots: int = 4
    threads: int = 0
    cache_mib: int = 256


@dataclass(frozen=True, slots=True)
class ChildAddress:
    """Where a running child is reached, and the key made for this one start of it."""

    url: str
    unix_socket: str | None
    api_key: str
    pid: int


class Keeper(Protocol):
    """Starts one child where it is needed, and again when it dies.

    ``last_exit`` says how the last one that died did so.
    """

    restarts: int
    last_exit: str | None

    @property
    def running(self) -> bool: ...

    @property
    def current(self) -> ChildAddress | None:
        """Where the child is reached, where it runs."""
        ...

    async def address(self) -> ChildAddress:
        """Where the child is reached; starts it where it does not run.

        Raises ``EngineUnavailable`` where it does not start.
        """
        ...

    async def died(self, address: ChildAddress, within_s: float = 1.0) -> str | None:
        """How the child behind ``address`` ended, or ``None`` where it is still running."""
        ...

    async def stop(self) -> None:
        """End the child, and keep it ended until :meth:`address` is asked again."""
        ...

    async def aclose(self) -> None:
        """We need the child no more; others may."""
        ...
