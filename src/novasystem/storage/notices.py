"""Words between processes that share a database.

With SQLite one server has it for itself; another process can only restore a backup into it.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from novasystem.errors import StorageUnavailable
from novasystem.storage.database import Database
from novasystem.storage.statements import RUN, Part, Prepared

__all__ = ["TELL_OF_RUN", "Notices", "notices", "notify"]

_CHANNEL = "novasystem"
# PostgreSQL takes at most 8,000 bytes a notice.
_MAX_CHARS = 7_000
_TOLD = sa.select(sa.func.pg_notify(_CHANNEL, sa.bindparam("payload", type_=sa.Text)))
_NOTIFY = Prepared(_TOLD)
TELL_OF_RUN = Prepared(_TOLD.select_from(RUN))
"""The last of chained statements: tells ``payload``, and gives a row, where ``run`` has one."""
_RETRY_S = 1.0
_LOOK_S = 1.0

_log = structlog.get_logger(__name__)


def notify(connection: Connection, *words: str) -> None:
    """Tell every process once the transaction is committed."""
    for statement, given in notices(connection, *words):
        statement(connection, given)


def notices(connection: Connection, *words: str) -> list[Part]:
    """What :func:`notify` carries out."""
    if connection.dialect.name != "postgresql" or not words:
        return []
    parts: list[Part] = []
    told: list[str] = []
    size = 0
    for word in [*words, None]:
        if told and (word is None or size + len(word) > _MAX_CHARS):
            parts.append((_NOTIFY, {"payload": "\n".join(told)}))
            told, size = [], 0
        if word is not None:
            told.append(word)
            size += len(word) + 1
    return parts


class Notices:
    """Listens on a connection of its own; ``heard`` is called with each word, and with an empty
    one after a time in which words may have been missed."""

    def __init__(self, database: Database, heard: Callable[[str], None]) -> None:
        self._database = database
        self._heard = heard
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        if self._database.is_sqlite:
            self._task = asyncio.create_task(self._look())
        else:
            ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._listen(ready))
            await asyncio.wait_for(ready, 30)

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _look(self) -> None:
        """SQLite counts what others commit; all that is ours comes from the one writer."""
        seen: int | None = None
        while True:
            try:
                now = await self._database.write(_data_version)
                if seen is not None and now != seen:
                    self._heard("")
                seen = now
            except StorageUnavailable:
                # Whoever wants to write is told.
                pass
            await asyncio.sleep(_LOOK_S)

    async def _listen(self, ready: "asyncio.Future[None]") -> None:
        import psycopg

        url = self._database.url
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    url.set(drivername="postgresql").render_as_string(hide_password=False),
                    autocommit=True,
                )
                async with connection:
                    await connection.execute(f"LISTEN {_CHANNEL}")
                    if ready.done():
                        self._heard("")
                    else:
                        ready.set_result(None)
                    await self._hear(connection)
            except psycopg.Error as error:
                await _log.awarning("the database does not tell its news", error=str(error))
            await asyncio.sleep(_RETRY_S)

    async def _hear(self, connection: Any) -> None:
        """Pass on what is heard until the connection is lost, which raises ``psycopg.Error``.

        Straight from the library below: psycopg's own way took a millisecond a notice.
        """
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[None] = loop.create_future()
        below = connection.pgconn

        def readable() -> None:
            try:
                below.consume_input()
                while notice := below.notifies():
                    for word in notice.extra.decode().split("\n"):
                        self._heard(word)
            except Exception as error:
                loop.remove_reader(descriptor)
                lost.set_exception(error)

        descriptor = connection.fileno()
        loop.add_reader(descriptor, readable)
        try:
            # What came with the answer to LISTEN.
            readable()
            await lost
        finally:
            loop.remove_reader(descriptor)


def _data_version(connection: Connection) -> int | None:
    found: int | None = connection.exec_driver_sql("PRAGMA data_version").scalar()
    return found
