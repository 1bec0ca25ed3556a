"""What the commands that need no server have in common: settings, log and engines."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from novasystem import log
from novasystem.cli.failures import traced
from novasystem.settings import Settings, load_settings

if TYPE_CHECKING:
    from novasystem.engines.registry import Registry

__all__ = ["opened", "registry_of", "run"]

T = TypeVar("T")


def opened(config: Path | None, log_level: str | None) -> Settings:
    """The settings of this run; from here on the log goes where they say.

    The commands report failures themselves, so the log shows only where it was asked for.
    """
    settings = load_settings(config=config, log_level=log_level)
    debugging = settings.log_level == "debug"
    log.configure(log_level or ("debug" if debugging else "critical"), settings.log_format)
    return settings


def registry_of(settings: Settings) -> "Registry":
    # What looks at stored things alone does without the engines.
    from novasystem.engines.kinds import build_registry

    return build_registry(settings, os.environ)


def run(settings: Settings, work: Callable[["Registry"], Coroutine[Any, Any, T]]) -> T:
    """Do ``work`` with the engines, in an event loop of its own.

    They are closed at the end, on Ctrl-C too, so that no child process is left behind.
    """

    async def with_engines() -> T:
        registry = registry_of(settings)
        try:
            return await work(registry)
        finally:
            await registry.aclose()

    with traced(settings.log_level):
        return asyncio.run(with_engines())
