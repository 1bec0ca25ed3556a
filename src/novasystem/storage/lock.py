"""Keeps a second server from an SQLite database that one already works on."""

import sqlite3
from pathlib import Path

from novasystem.errors import ConfigurationError

__all__ = ["ServerLock"]


class ServerLock:
    """Held until :meth:`release`, or until the process is gone, however it ends.

    SQLite's own file lock, on a file beside the database: it works wherever SQLite does.
    """

    def __init__(self, database: str) -> None:
        self._path = Path(f"{database}.lock")
        self._connection: sqlite3.Connection | None = None

    def acquire(self) -> None:
        """Raises ``ConfigurationError`` where another process holds it."""
        connection = sqlite3.connect(
            self._path, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            connection.close()
            if "locked" not in str(error):
                raise ConfigurationError(
                    f"The folder '{self._path.parent}' cannot be written: {error}.",
                    hint="Choose another one with NOVA_DATA_DIR.",
                ) from error
            raise ConfigurationError(
                f"Another server works on the data in '{self._path.parent}'.",
                hint="Stop it, or give this one a folder of its own with NOVA_DATA_DIR.",
            ) from None
        self._connection = connection

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
