"""Looking at child processes from outside: through Linux's /proc, without asking our own code."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["alive", "eventually", "of_process", "refuses", "started_at_s", "tcp_sockets"]


def alive(pid: int) -> bool:
    """Whether it runs; one that ended and was not yet waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def started_at_s(pid: int) -> float:
    """Seconds from the machine's start to the process's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def of_process(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def tcp_sockets(pid: int) -> set[str]:
    """The inodes of its TCP sockets, in whatever state."""
    links = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    own = {link[len("socket:[") : -1] for link in links if link.startswith("socket:")}
    assert own, "its Unix socket at least should be seen"
    lines = [
        line for table in ("tcp", "tcp6") for line in of_process(pid, f"net/{table}").splitlines()
    ]
    return own & {line.split()[9].decode() for line in lines if b"local_address" not in line}


def refuses(unix_socket: str) -> bool:
    """Whether nobody listens there any more: later than the death of the first thread."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(unix_socket) != 0


def eventually(fact: Callable[[], bool], within_s: float = 5.0) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if fact():
            return True
        time.sleep(0.02)
    return fact()
