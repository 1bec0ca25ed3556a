"""What carries benchmarks out without a server: the store that the settings name, and the engines.

A server may work on the same data at the same time. Only servers keep each other away; whoever
writes beside one does so in transactions of the same database, or in files of its own.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from novasystem.benchmarks.stores import BenchmarkStore, Places, find_store
from novasystem.benchmarks.stores.files import FileStore
from novasystem.keeping import backups_folder, find_database
from novasystem.settings import Settings
from novasystem.storage.database import Database
from novasystem.storage.folders import make_folder, make_private
from novasystem.storage.lock import ServerLock
from novasystem.storage.migrate import upgrade
from novasystem.storage.schema import SCHEMA, current_revision

if TYPE_CHECKING:
    from novasystem.benchmarks.carrying import Carrier
    from novasystem.engines.registry import Registry

__all__ = ["OWNER", "Local", "log_folder", "opened", "passing", "places_of", "server_is_running"]

OWNER = "local"
"""Whose the benchmarks are that nobody logged in for."""


class Local:
    """``store`` keeps; ``registry`` has the engines of the settings, ``carrier`` carries out: both
    are made when they are first asked for, as to look at what is stored needs neither engine nor
    what speaks to one."""

    def __init__(self, settings: Settings, store: BenchmarkStore, logs: Path) -> None:
        self.settings = settings
        self.store = store
        self._logs = logs
        self._registry: Registry | None = None
        self._carrier: Carrier | None = None

    @property
    def registry(self) -> "Registry":
        if self._registry is None:
            from novasystem.engines.kinds import build_registry

            self._registry = build_registry(self.settings, os.environ)
        return self._registry

    @property
    def carrier(self) -> "Carrier":
        if self._carrier is None:
            from novasystem.benchmarks.carrying import Carrier

            self._carrier = Carrier(self.registry, self.store, self._logs)
        return self._carrier

    async def aclose(self) -> None:
        """The engines and the store."""
        if self._registry is not None:
            await self._registry.aclose()
        await self.store.aclose()


def log_folder(settings: Settings) -> Path:
    """Where the logs of benchmarks are."""
    return settings.data_dir / "benchmarks" / "logs"


def places_of(settings: Settings, database: Database) -> Places:
    """Where the stores of the settings have their benchmarks."""
    mongo_url = None if settings.mongo_url is None else settings.mongo_url.get_secret_value()
    return Places(database, settings.data_dir / "benchmarks" / "stored", mongo_url)


def server_is_running(settings: Settings) -> bool:
    """Whether a server works on the data of the settings now; not known of PostgreSQL's."""
    file = _file(find_database(settings))
    return file is not None and file.exists() and ServerLock(str(file)).is_held()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Local]:
    """Open the store and close it, and the engines, at the end.

    The schema is brought up to date where that is needed, as a server does when it starts. Raises
    ``ConfigurationError`` or ``StorageUnavailable`` where the store cannot be used.
    """
    database = find_database(settings)
    store = find_store(settings.benchmark_store, places_of(settings, database))
    try:
        if settings.benchmark_store == "sql":
            await asyncio.to_thread(_bring_up_to_date, database, settings)
        async with _working(settings, store, log_folder(settings)) as local:
            yield local
    finally:
        await database.aclose()


@asynccontextmanager
async def passing(settings: Settings) -> AsyncIterator[Local]:
    """The same with a store that is gone at the end."""
    with TemporaryDirectory(prefix="nova-bench-") as folder:
        store = FileStore(Path(folder) / "stored")
        async with _working(settings, store, Path(folder) / "logs") as local:
            yield local


@asynccontextmanager
async def _working(settings: Settings, store: BenchmarkStore, logs: Path) -> AsyncIterator[Local]:
    local = Local(settings, store, logs)
    try:
        await store.open()
        yield local
    finally:
        await local.aclose()


def _bring_up_to_date(database: Database, settings: Settings) -> None:
    file = _file(database)
    if file is None:
        upgrade(database, backups_folder(settings))
        return
    make_folder(file.parent)
    make_private(file)
    if database.read_now(current_revision) == SCHEMA.head:
        return
    # A server of an older version may not have its tables changed under it.
    lock = ServerLock(str(file))
    lock.acquire()
    try:
        upgrade(database, backups_folder(settings))
    finally:
        lock.release()


def _file(database: Database) -> Path | None:
    return Path(database.url.database or "") if database.is_sqlite else None
