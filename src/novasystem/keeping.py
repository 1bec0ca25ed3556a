"""Opens what is kept: the database with the schema that this program expects."""

import asyncio
from pathlib import Path

import structlog

from novasystem.errors import StorageUnavailable
from novasystem.settings import Settings
from novasystem.storage.database import Database, database_url
from novasystem.storage.folders import make_folder, make_private
from novasystem.storage.lock import ServerLock
from novasystem.storage.migrate import upgrade
from novasystem.storage.schema import SCHEMA, Schema

__all__ = ["Store", "backups_folder", "find_database"]

_log = structlog.get_logger(__name__)


def find_database(settings: Settings) -> Database:
    """The database of the settings; nothing is opened or made yet."""
    given = settings.database_url
    url = database_url(None if given is None else given.get_secret_value(), settings.data_dir)
    return Database(url)


def backups_folder(settings: Settings) -> Path:
    """Where backups go that were not told where, and those that are made without being asked."""
    return settings.data_dir / "backups"


class Store:
    """The database of a server: no other server works on it where it is SQLite."""

    def __init__(self, settings: Settings, *, schema: Schema = SCHEMA) -> None:
        self.database = find_database(settings)
        self._backups = backups_folder(settings)
        self._schema = schema
        self._lock: ServerLock | None = None

    async def open(self) -> None:
        """Raises ``ConfigurationError`` or ``StorageUnavailable`` where it cannot be used."""
        try:
            await self._open()
        except BaseException:
            await self.aclose()
            raise

    async def _open(self) -> None:
        database = self.database
        if database.is_sqlite and database.url.database is not None:
            file = Path(database.url.database)
            make_folder(file.parent)
            make_private(file)
            self._lock = ServerLock(database.url.database)
            self._lock.acquire()
        try:
            done = await asyncio.to_thread(upgrade, database, self._backups, schema=self._schema)
        except StorageUnavailable as error:
            if database.is_sqlite and self._backups.exists():
                error.hint = f"{error.hint} Backups lie in {self._backups}."
            raise
        if done.backup is not None:
            await _log.ainfo(
                "the data was upgraded",
                before=done.before,
                after=done.after,
                backup=str(done.backup),
            )
        await _log.ainfo("the data is open", where=database.where, new=done.before is None)

    async def aclose(self) -> None:
        await self.database.aclose()
        if self._lock is not None:
            self._lock.release()
