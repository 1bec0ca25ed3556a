"""The database: SQLite in a folder of the user's, or PostgreSQL.

Statements of one transaction run in a function, in a thread: one change of threads a transaction.
SQLAlchemy's asyncio layer changes twice a statement, and took three times as long for a
transaction of six statements (1.6 and 5.0 ms, of it 1.2 and 3.8 ms of CPU, on one machine).
"""

import asyncio
import contextlib
import selectors
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from novasystem.errors import ConfigurationError, StorageFull, StorageUnavailable

__all__ = ["Database", "database_url", "finish", "one_statement"]

P = ParamSpec("P")
T = TypeVar("T")

_BUSY_MS = 10_000
_READERS = 4
_POSTGRES_CONNECTIONS = 8
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    f"busy_timeout={_BUSY_MS}",
    # For each of five connections, in KiB; the system keeps the file in memory as well.
    "cache_size=-512",
)
# How long after its last use a connection is not asked whether it still stands.
_TRUSTED_S = 1.0
# What PostgreSQL says of a full disk, and of transactions that another one got in the way of.
_FULL = "53100"
_COLLISIONS = {"40001", "40P01"}
# The cheapest to set up for one look.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
_DAMAGED = ("file is not a database", "database disk image is malformed")


_ONE = "one_statement"


def one_statement(work: Callable[P, T]) -> Callable[P, T]:
    """Mark what carries out one statement at most, which PostgreSQL begins and commits by itself.

    To begin a transaction and to commit it are two more ways there and back. SQLite, which has
    none, has a transaction around it as around everything else.
    """
    setattr(work, _ONE, True)
    return work


def database_url(configured: str | None, data_dir: Path) -> URL:
    """Where the data is: ``configured``, or a file in ``data_dir``.

    Raises ``ConfigurationError`` for an address of a kind that is not supported.
    """
    if configured is None:
        return URL.create("sqlite", database=str(data_dir / "nova.db"))
    hint = "Write postgresql://USER@HOST/DATABASE or sqlite:////absolute/path/nova.db."
    try:
        url = make_url(configured)
    except ArgumentError:
        raise ConfigurationError("database_url is not an address.", hint=hint) from None
    name = url.drivername.partition("+")[0]
    if name in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if name != "sqlite" or url.database in {None, "", ":memory:"}:
        msg = f"database_url names '{name}', which is not supported."
        raise ConfigurationError(msg, hint=hint)
    return url.set(drivername="sqlite")


class Database:
    """One database; :meth:`read` and :meth:`write` run a function of a connection in a thread.

    Raises ``StorageUnavailable`` where it cannot be reached or stays locked, ``StorageFull`` where
    it can take no more.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.where = str(url.database) if self.is_sqlite else url.render_as_string()
        self._reader = self._writer = _engine(url)
        if self.is_sqlite:
            self._writer = self._alone = _engine(url, writer=True)
            readers, writers = _READERS, 1
        else:
            self._alone = self._writer.execution_options(isolation_level="AUTOCOMMIT")
            # One state for all statements of a transaction, as SQLite has it.
            self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ")
            readers = writers = _POSTGRES_CONNECTIONS // 2
        self._read_threads = ThreadPoolExecutor(readers, "nova-read")
        self._write_threads = ThreadPoolExecutor(writers, "nova-write")

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What ``work`` finds, in one transaction that sees one state."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._read_threads, lambda: self.read_now(work, *args, **kwargs)
        )

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What ``work`` returns, once all that it wrote is committed; nothing where it raises.

        A caller that is cancelled meanwhile waits for the end first: what is being written is
        either there or not when the next one looks.
        """
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(
            self._write_threads, lambda: self.write_now(work, *args, **kwargs)
        )
        return await finish(writing)

    def read_now(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As :meth:`read`, in the calling thread."""
        begin: Callable[[], AbstractContextManager[Connection]] = self._reader.begin
        if not self.is_sqlite and getattr(work, _ONE, False):
            begin = self._alone.connect
        with self._explained(), begin() as connection:
            return work(connection, *args, **kwargs)

    def write_now(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As :meth:`write`, in the calling thread."""
        begin: Callable[[], AbstractContextManager[Connection]] = self._writer.begin
        if not self.is_sqlite and getattr(work, _ONE, False):
            begin = self._alone.connect
        with self._explained():
            for _ in range(5):
                try:
                    with begin() as connection:
                        return work(connection, *args, **kwargs)
                except DBAPIError as error:
                    if getattr(error.orig, "sqlstate", None) not in _COLLISIONS:
                        raise
            with begin() as connection:
                return work(connection, *args, **kwargs)

    def rebuild_now(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As :meth:`write_now`, for a change of the schema.

        To make a table of SQLite's anew is to drop it, which would delete whatever refers to it:
        the foreign keys are not looked after meanwhile, and checked at the end.
        """
        if not self.is_sqlite:
            return self.write_now(work, *args, **kwargs)

        with self._explained(), self._writer.connect() as connection:
            pragma = connection.connection.cursor().execute
            pragma("PRAGMA foreign_keys=OFF")
            try:
                with connection.begin():
                    result = work(connection, *args, **kwargs)
                    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                    if lost is not None:
                        msg = f"a row of '{lost[0]}' refers to one of '{lost[2]}' that is missing"
                        raise ValueError(msg)
                    return result
            finally:
                pragma("PRAGMA foreign_keys=ON")

    async def aclose(self) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        self._read_threads.shutdown()
        self._write_threads.shutdown()
        self._reader.dispose()
        self._writer.dispose()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, exc.TimeoutError, sqlite3.Error) as error:
            explained = self._explain(error)
            if explained is None:
                raise
            raise explained from error

    def _explain(
        self, error: DBAPIError | exc.TimeoutError | sqlite3.Error
    ) -> StorageUnavailable | None:
        original = getattr(error, "orig", error)
        said = str(original).strip().partition("\n")[0]
        state = getattr(original, "sqlstate", None)
        full = state == _FULL or "disk is full" in said
        if full:
            return StorageFull(
                f"There is no room left for the data at {self.where}.",
                hint="Make room; nothing that was acknowledged is lost, and reading goes on.",
            )
        if self.is_sqlite and said.startswith(_DAMAGED):
            return StorageUnavailable(
                f"The file '{self.where}' is damaged: {said}.",
                hint="Stop the server, move the file away, and restore a backup with "
                "'nova db restore'.",
            )
        lost = isinstance(error, exc.TimeoutError) or (
            isinstance(original, sqlite3.OperationalError)
            if self.is_sqlite
            # Without a state nothing came from the server; but a value that cannot be sent is
            # no fault of its own.
            else bool(getattr(error, "connection_invalidated", False))
            or (state is None and isinstance(error, exc.OperationalError | exc.InterfaceError))
        )
        if getattr(original, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            # SQLite complains about a statement of ours and not about its file.
            return None
        if not lost and (state is None or not state.startswith(("08", "57", "58", "53", "25"))):
            return None
        return StorageUnavailable(
            f"The data at {self.where} cannot be used now: {said}.",
            hint="Check that the database is up, can be written and is not locked.",
        )


async def finish(writing: "asyncio.Future[T]") -> T:
    """The result of ``writing``; a cancellation is heeded once it is done."""
    cancelled = False
    while not writing.done():
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            cancelled = True
        except Exception:
            break
    if cancelled:
        # What was written stays written; whoever is cancelled finds that out by looking.
        writing.exception() if not writing.cancelled() else None
        raise asyncio.CancelledError
    return writing.result()


def _engine(url: URL, *, writer: bool = False) -> Engine:
    if url.get_backend_name() != "sqlite":
        try:
            engine = sa.create_engine(
                url,
                pool_size=_POSTGRES_CONNECTIONS,
                max_overflow=0,
                pool_timeout=30,
                # The newest first: what it has prepared is ready, and the others may idle.
                pool_use_lifo=True,
                connect_args={"connect_timeout": 10, "keepalives_idle": 30},
            )
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise ConfigurationError(
                "PostgreSQL needs a package that is not installed.",
                hint="Install it: pip install 'novasystem[postgres]'.",
            ) from error

        @sa.event.listens_for(engine, "connect")
        def _tuned(connection: Any, _record: object) -> None:
            # A page of a thread comes in order from an index. Where PostgreSQL takes threads for
            # short, as it does before it has counted, it would rather read a long one whole.
            connection.execute("SET enable_bitmapscan = off")
            connection.commit()

        _ping_idle(engine)
        return engine
    engine = sa.create_engine(
        url,
        poolclass=sa.pool.QueuePool,
        pool_size=1 if writer else _READERS,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": _BUSY_MS / 1000},
    )
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        # The transactions are ours: Python's module begins them too late.
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # By the driver itself: SQLAlchemy's own way to say it was 44 of the 109 µs of CPU that an
        # empty transaction took.
        driver: Any = connection.connection.driver_connection
        driver.execute(begin)

    return engine


def _ping_idle(engine: Engine) -> None:
    """Ask a connection whether it still stands where it was not used for a moment, or where
    something came on it meanwhile: a server that ends one says so.

    To ask each time is a way there and back for every transaction.
    """

    @sa.event.listens_for(engine, "checkin")
    def _returned(_connection: object, record: Any) -> None:
        record.info["nova.used"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def _taken(connection: Any, record: Any, _proxy: object) -> None:
        used = record.info.get("nova.used")
        if used is None:
            return
        if time.monotonic() - used > _TRUSTED_S or _readable(connection.fileno()):
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise exc.InvalidatePoolError from error


def _readable(descriptor: int) -> bool:
    with _Selector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))
