"""Keeps a second server from an SQLite database that one already works on."""

import sqlite3
from pathlib import Path

from novasystem.errors import ConfigurationError
from novasystem.storage.folders import make_private

__all__ = ["ServerLock"]

# One that is just ending, or somebody who looks whether there is one, is waited for.
_PATIENCE_S = 1.0


class ServerLock:
    """Held until :meth:`release`, or until the process is gone, however it ends.

    SQLite's own file lock, on a file beside the database: it works wherever SQLite does.
    """

    def __init__(self, database: str) -> None:
        self._path = Path(f"{database}.lock")
        self._connection: sqlite3.Connection | None = None

    def acquire(self) -> None:
        """Raises ``ConfigurationError`` where another process holds it."""
        if not self._acquired():
            raise ConfigurationError(
                f"Another server works on the data in '{self._path.parent}'.",
                hint="Stop it, or give this one a folder of its own with NOVA_DATA_DIR.",
            )

    def is_held(self) -> bool:
        """Whether a server works on the data now."""
        if not self._path.exists():
            return False
        acquired = self._acquired()
        self.release()
        return not acquired

    def _acquired(self) -> bool:
        make_private(self._path)
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                self._path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if "locked" in str(error):
                return False
            raise ConfigurationError(
                f"The folder '{self._path.parent}' cannot be written: {error}.",
                hint="Choose another one with NOVA_DATA_DIR.",
            ) from error
        self._connection = connection
        return True

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
