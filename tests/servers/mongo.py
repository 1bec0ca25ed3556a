"""A real server that speaks MongoDB's protocol, on a free loopback port.

`make mongo` builds the binary: FerretDB with its SQLite back end.
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MongoServer", "find_mongo", "mongo_server"]

VERSION = "1.24.2"
_START_S = 60.0
_STOP_S = 10.0


@dataclass(frozen=True)
class MongoServer:
    """``process``: of the server, where it is ours."""

    url: str
    process: "subprocess.Popen[bytes] | None"

    def database(self, name: str) -> str:
        """The address of a database of that name."""
        return f"{self.url}/{name}"


def find_mongo() -> Path | None:
    """The binary that `make mongo` built, or ``None``."""
    if chosen := os.environ.get("NOVA_CACHE_DIR"):
        root = Path(chosen)
    else:
        xdg = os.environ.get("XDG_CACHE_HOME")
        root = (Path(xdg) if xdg else Path.home() / ".cache") / "novasystem"
    built = root / f"mongo-server-{VERSION}" / "bin" / "mongo-server"
    return built if built.is_file() else None


@contextmanager
def mongo_server(folder: Path, *, port: int = 0) -> Iterator[MongoServer]:
    """Runs until the block is left; raises ``RuntimeError`` with its log where it does not start.

    ``port``: a free one where it is 0.
    """
    binary = find_mongo()
    if binary is None:
        msg = "there is no server that speaks MongoDB's protocol: run `make mongo`"
        raise RuntimeError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    log_path = folder / "log"
    data = folder / "data"
    data.mkdir(exist_ok=True)
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [binary, f"-address=127.0.0.1:{port}", f"-folder={data}"],
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the tests; they stop the server when they have finished with it.
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, port, log_path)
        yield MongoServer(f"mongodb://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log_path: Path) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as error:
            if time.monotonic() > until or process.poll() is not None:
                said = log_path.read_text(errors="replace")
                msg = f"the server did not start: {error}\n{said}"
                raise RuntimeError(msg) from error
            time.sleep(0.02)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
