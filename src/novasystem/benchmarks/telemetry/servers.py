"""The processes of a model server: found by process id or by the port that they listen at."""

import contextlib
import ipaddress
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from novasystem.benchmarks.telemetry.machine import Thinned
from novasystem.benchmarks.telemetry.readings import ServerReading
from novasystem.engines.embedded import EmbeddedEngine
from novasystem.engines.protocol import Engine

__all__ = ["ByPid", "ByPort", "Elsewhere", "Finder", "NotSeen", "Server", "finder"]

Finder = Callable[[], Iterable[psutil.Process]]
"""The first processes of a server; their children are found from them. Raises ``NotSeen``."""

_LOOK_EVERY = 10
_SEARCH_S = 5.0
# They only pass on what is said to a server somewhere else.
_FORWARDERS = {"docker-proxy", "rootlessport", "slirp4netns", "pasta", "ssh", "gvproxy"}


class NotSeen(Exception):
    """The server's processes cannot be seen; its text says why."""


class ByPid:
    """``pid`` is asked each time: a server that was started again has another one."""

    def __init__(self, pid: Callable[[], int | None]) -> None:
        self._pid = pid

    def __call__(self) -> list[psutil.Process]:
        pid = self._pid()
        if pid is None:
            msg = "its process does not run yet"
            raise NotSeen(msg)
        try:
            return [psutil.Process(pid)]
        except psutil.Error as error:
            msg = f"its process {pid} is gone"
            raise NotSeen(msg) from error


class ByPort:
    """Whoever listens at a TCP port of this machine; searched for again when it is gone.

    A search looks at every process's open files, so it is made every five seconds at most.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._found: list[psutil.Process] = []
        self._searched = float("-inf")
        self._why = ""

    def __call__(self) -> list[psutil.Process]:
        self._found = [process for process in self._found if process.is_running()]
        if self._found:
            return self._found
        if time.monotonic() - self._searched >= _SEARCH_S:
            self._searched = time.monotonic()
            self._search()
        if not self._found:
            raise NotSeen(self._why)
        return self._found

    def _search(self) -> None:
        try:
            listening = [
                connection.pid
                for connection in psutil.net_connections("tcp")
                if connection.status == psutil.CONN_LISTEN
                and getattr(connection.laddr, "port", None) == self._port
            ]
        except psutil.AccessDenied:
            self._why = "the system does not let us see which process listens where"
            return
        pids = {pid for pid in listening if pid is not None}
        if not listening:
            self._why = f"no process of this machine is seen to listen at port {self._port}"
        elif not pids:
            self._why = f"the process that listens at port {self._port} is another user's"
        for pid in pids:
            try:
                process = psutil.Process(pid)
                name = process.name()
            except psutil.Error:
                continue
            if name in _FORWARDERS:
                self._why = f"port {self._port} is passed on by {name}: the server is elsewhere"
            else:
                self._found.append(process)


class Elsewhere:
    """A server that is not on this machine."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __call__(self) -> list[psutil.Process]:
        raise NotSeen(self._reason)


def finder(engine: Engine) -> Finder:
    """How the processes behind ``engine`` are found; it never fails, the finder says why."""
    if isinstance(engine, EmbeddedEngine):
        return ByPid(lambda: engine.child_pid)
    try:
        parts = urlsplit(engine.where)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        here = _is_here(parts.hostname or "")
    except (KeyError, ValueError):
        return Elsewhere(f"'{engine.where}' is no address of this machine")
    if not here:
        return Elsewhere(f"its address {engine.where} is another machine's")
    return ByPort(port)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.casefold() == socket.gethostname().casefold()
    if address.is_loopback or address.is_unspecified:
        return True
    own = {
        item.address.partition("%")[0] for each in psutil.net_if_addrs().values() for item in each
    }
    return str(address) in own


class Server:
    """One model server, its processes and their children looked for again every second."""

    def __init__(self, find: Finder, look_every: int = _LOOK_EVERY) -> None:
        self.absent: str | None = None
        self._find = find
        self._due = Thinned(look_every)
        self._began = time.monotonic()
        self._cpu_s: dict[psutil.Process, float] = {}
        """Of each process as last read."""
        self._sum_s = 0.0

    def read(self) -> ServerReading | None:
        """``None`` where none of its processes is seen."""
        if self._due.due():
            self._look()
        memory = processes = 0
        for process in list(self._cpu_s):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
            except psutil.Error:
                # It has ended, which the next look at who is there would show too.
                del self._cpu_s[process]
                continue
            cpu_s = times.user + times.system
            self._sum_s += max(0.0, cpu_s - self._cpu_s[process])
            self._cpu_s[process] = cpu_s
            processes += 1
        return ServerReading(memory, self._sum_s, processes) if processes else None

    def _look(self) -> None:
        try:
            roots = list(self._find())
        except NotSeen as reason:
            self.absent = str(reason)
            return
        self.absent = None
        for root in roots:
            try:
                found = _family(root)
            except psutil.Error:
                continue
            for process in found:
                if process not in self._cpu_s:
                    self._meet(process)

    def _meet(self, process: psutil.Process) -> None:
        """What it used before we began is not ours to count; of a younger one all counts."""
        try:
            age_s = _age_s(process)
            times = process.cpu_times()
        except (psutil.Error, OSError):
            return
        # The kernel notes the start to a hundredth of a second.
        younger = age_s <= time.monotonic() - self._began + 0.01
        self._cpu_s[process] = 0.0 if younger else times.user + times.system


def _age_s(process: psutil.Process) -> float:
    """Seconds since it was started. Elsewhere than on Linux exact to a second."""
    if not sys.platform.startswith("linux"):
        return time.time() - process.create_time()
    # The time of psutil's goes by way of the boot time, which the kernel rounds to a second.
    stat = Path(f"/proc/{process.pid}/stat").read_text(errors="replace")
    started = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _family(root: psutil.Process) -> list[psutil.Process]:
    """The process and all that came from it."""
    # psutil reads every process of the machine to find them; Linux lists them by their parents.
    if not os.path.exists("/proc/thread-self/children"):
        return [root, *root.children(recursive=True)]
    found = [root]
    for process in found:
        for pid in _children(process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    # A thread or the process may be gone by now, and its children with it.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found
