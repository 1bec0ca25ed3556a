"""A real PostgreSQL: a cluster in a temporary folder, on a port that the system picks."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

__all__ = ["PostgresServer", "find_postgres", "postgres_server"]

_START_S = 60.0
_STOP_S = 30.0
_USER = "nova"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    # A cluster that is thrown away: what a crash of the machine would take does not matter.
    "fsync": "off",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}


def find_postgres() -> Path | None:
    """The newest installed folder that holds ``postgres`` and ``initdb``."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return None if on_path is None else Path(on_path).resolve().parent


@dataclass(frozen=True)
class PostgresServer:
    """``folder`` holds the data and the Unix socket."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    def url(self, database: str = "postgres") -> str:
        """Over loopback TCP."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """Over the Unix socket."""
        return f"postgresql://{_USER}@/{database}?host={self.folder}&port={self.port}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Outside any transaction; the rows, where the statement gives any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def new_database(self, name: str) -> str:
        """The address of a fresh, empty database."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Runs until the block is left; raises ``RuntimeError`` with its log where it does not start.

    PostgreSQL refuses to run as root: then it runs as another user.
    """
    programs = find_postgres()
    if programs is None:
        msg = "no PostgreSQL is installed"
        raise RuntimeError(msg)
    # The path of a Unix socket may have 107 characters: pytest's folders are too deep for it.
    folder = Path(tempfile.mkdtemp(prefix="nova-pg-", dir="/tmp"))
    user = _other_user(folder)
    try:
        with _running(programs, folder, user) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _other_user(folder: Path) -> int | None:
    """Who owns the cluster where we are root, by number; ``None``: we ourselves."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            uid = pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
        os.chown(folder, uid, -1)
        return uid
    msg = "PostgreSQL does not run as root, and there is neither 'postgres' nor 'nobody' here"
    raise RuntimeError(msg)


@contextmanager
def _running(programs: Path, folder: Path, user: int | None) -> Iterator[PostgresServer]:
    data = folder / "data"
    log_path = folder / "log"
    initdb = [str(programs / "initdb"), f"--pgdata={data}", f"--username={_USER}"]
    made = subprocess.run(
        [*initdb, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
        user=user,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise RuntimeError(made.stdout + made.stderr)
    port = _free_port()
    settings = {**_SETTINGS, "port": str(port), "unix_socket_directories": str(folder)}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, *(f"--{k}={v}" for k, v in settings.items())],
            user=user,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the tests; they stop the server when they have finished with it.
            start_new_session=True,
        )
    server = PostgresServer(folder, port, process)
    try:
        _wait_until_ready(server, log_path)
        yield server
    finally:
        # SIGINT: a "fast shutdown", which does not wait for clients.
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait_until_ready(server: PostgresServer, log_path: Path) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            server.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if time.monotonic() > until or server.process.poll() is not None:
                msg = f"PostgreSQL did not start: {error}\n{log_path.read_text()}"
                raise RuntimeError(msg) from error
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
