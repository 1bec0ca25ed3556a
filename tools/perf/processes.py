"""Processes under measurement: started with an environment of their own, read from outside.

CPU time comes from the clock that the system keeps for each process (``clock_getcpuclockid``):
nanoseconds, all threads, user and system together, and reading it costs the process nothing.
"""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson

from tools.perf.client import Job, Outcome

__all__ = ["LoadFailed", "Process", "free_port", "load_client", "process"]

ROOT = Path(__file__).parents[2]
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE")


class LoadFailed(Exception):
    """A server did not start, or did not answer as it should."""


@dataclass(frozen=True)
class Process:
    """``started_ns`` is ``perf_counter_ns`` right before it was started."""

    name: str
    pid: int
    port: int
    started_ns: int
    _popen: "subprocess.Popen[bytes]" = field(repr=False)
    _said: IO[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        return _cpu_s(self.pid)

    def tree(self) -> list[int]:
        """Its own and its living descendants' numbers."""
        return [self.pid, *_descendants(self.pid)]

    def tree_cpu_s(self) -> float:
        """Its own and its living descendants' CPU time."""
        return sum(map(_cpu_s, self.tree()))

    def resident_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        kilobytes = status.partition("VmRSS:")[2].split()[0]
        return int(kilobytes) * 1024

    def wait_for(self, path: str, timeout_s: float = 30.0) -> float:
        """Seconds from the start until this path answered 200."""
        while True:
            passed_s = (time.perf_counter_ns() - self.started_ns) / 1e9
            if self._popen.poll() is not None:
                raise self._failed(f"ended with {self._popen.returncode} before {path} answered")
            if passed_s > timeout_s:
                raise self._failed(f"did not answer {path} within {timeout_s} s")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._status(path) == 200:
                    return (time.perf_counter_ns() - self.started_ns) / 1e9
            time.sleep(0.005)

    def _failed(self, how: str) -> LoadFailed:
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - 1500))
        last = self._said.read().decode(errors="replace")
        return LoadFailed(f"{self.name} {how}. It said last:\n{last}")

    def _status(self, path: str) -> int:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, 5)) as asked:
            asked.request("GET", path)
            return asked.getresponse().status


@contextlib.contextmanager
def process(
    name: str, command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Start it in the checkout's root, with nothing of the user's own settings, and end it."""
    kept = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    with tempfile.TemporaryFile() as said:
        started_ns = time.perf_counter_ns()
        popen = subprocess.Popen(
            command, cwd=ROOT, env={**kept, **(environment or {})}, stdout=said, stderr=said
        )
        try:
            yield Process(name, popen.pid, port, started_ns, popen, said)
        finally:
            _end(popen)


class LoadClient:
    """The client's process; ``run`` gives it one job and waits for what came back."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self._popen = popen

    def run(self, job: Job) -> Outcome:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(orjson.dumps(job) + b"\n")
        self._popen.stdin.flush()
        outcome = Outcome(**orjson.loads(self._popen.stdout.readline()))
        if outcome.error:
            msg = f"{job.url}: {outcome.error}"
            raise LoadFailed(msg)
        return outcome


@contextlib.contextmanager
def load_client() -> Iterator[LoadClient]:
    popen = subprocess.Popen(
        [sys.executable, "-m", "tools.perf.client"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield LoadClient(popen)
    finally:
        assert popen.stdin is not None
        assert popen.stdout is not None
        popen.stdin.close()
        popen.stdout.close()
        _end(popen)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cpu_s(pid: int) -> float:
    """The kernel's number for the CPU clock of a process: its id inverted, then three bits."""
    return time.clock_gettime((~pid << 3) | 2)


def _descendants(pid: int) -> list[int]:
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _end(popen: "subprocess.Popen[bytes]") -> None:
    popen.terminate()
    try:
        popen.wait(10)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()
