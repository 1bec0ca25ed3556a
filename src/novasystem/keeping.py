"""Opens what is kept: the database with the schema that this program expects."""

import asyncio
from pathlib import Path

import structlog

from novasystem.errors import ConfigurationError
from novasystem.settings import Settings
from novasystem.storage.database import Database, database_url
from novasystem.storage.lock import ServerLock
from novasystem.storage.migrate import upgrade

__all__ = ["Store", "find_database"]

_log = structlog.get_logger(__name__)


def find_database(settings: Settings) -> Database:
    """The database of the settings; nothing is opened or made yet."""
    given = settings.database_url
    url = database_url(None if given is None else given.get_secret_value(), settings.data_dir)
    return Database(url)


class Store:
    """The database of a server: no other server works on it where it is SQLite."""

    def __init__(self, settings: Settings) -> None:
        self.database = find_database(settings)
        self._lock: ServerLock | None = None

    async def open(self) -> None:
        """Raises ``ConfigurationError`` or ``StorageUnavailable`` where it cannot be used."""
        database = self.database
        if database.is_sqlite and database.url.database is not None:
            make_folder(Path(database.url.database).parent)
            self._lock = ServerLock(database.url.database)
            self._lock.acquire()
        before = await asyncio.to_thread(upgrade, database)
        await _log.ainfo("the data is open", where=database.where, new=before is None)

    async def aclose(self) -> None:
        await self.database.aclose()
        if self._lock is not None:
            self._lock.release()


def make_folder(folder: Path) -> None:
    """A folder that nobody else may look into."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder '{folder}' cannot be made: {error.strerror}.",
            hint="Choose another one with NOVA_DATA_DIR.",
        ) from error
