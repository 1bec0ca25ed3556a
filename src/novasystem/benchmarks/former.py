"""Whether a load process works on a benchmark: that of another program, or of one that is gone.

A load process outlives a parent that was killed by the moment in which it gives up its requests and
writes down what it had. Nobody may go on from its log before that.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from novasystem.benchmarks.sample_log import Header, read_log
from novasystem.errors import InvalidRequest

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

__all__ = ["held", "is_held", "load_process", "stop_load", "wait_for_former"]

_PATIENCE_S = 10.0
_POLL_S = 0.1
_PROGRAM = "novasystem.benchmarks.load_process"


def load_process(log_path: Path) -> psutil.Process | None:
    """One that the log's last header names, the first of them first, while it works; ``None`` once
    all are gone."""
    return next(iter(_processes(log_path)), None)


def _processes(log_path: Path) -> list[psutil.Process]:
    pids: tuple[int, ...] = ()
    for record in read_log(log_path):
        if isinstance(record, Header):
            pids = (record.pid, *record.workers)
    return [process for pid in pids if (process := _process(pid)) is not None]


def _process(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        # A number is given anew: only what is such a process is meant.
        return process if _works(process) and _PROGRAM in process.cmdline() else None
    except psutil.Error:
        return None


def _works(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def stop_load(log_path: Path) -> bool:
    """Tell the load process to give up its requests, as Ctrl-C does; whether there was one."""
    process = load_process(log_path)
    if process is None:
        return False
    try:
        process.terminate()
    except psutil.Error:
        return False
    return True


@contextmanager
def held(log_path: Path) -> Iterator[None]:
    """Nobody else carries the benchmark out meanwhile: of two that go on at the same moment, one.

    The system lets go of it when its holder ends, however that comes; where it has no such locks
    (Windows) there is none. Raises ``InvalidRequest`` where another program holds it.
    """
    if fcntl is None:
        yield
        return
    # The log itself, as a lock beside it would have to be cleared away.
    try:
        descriptor = os.open(log_path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        # Whoever makes the load will say what is wrong with it.
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _carried_out(log_path) from error
        yield
    finally:
        os.close(descriptor)


def is_held(log_path: Path) -> bool:
    """Whether anybody carries the benchmark out now, or still writes down its end."""
    if not log_path.exists():
        return False
    try:
        with held(log_path):
            return load_process(log_path) is not None
    except InvalidRequest:
        return True


async def wait_for_former(log_path: Path, patience_s: float = _PATIENCE_S) -> None:
    """Wait until nobody writes to the log. Raises ``InvalidRequest`` where somebody goes on."""
    processes = await asyncio.to_thread(_processes, log_path)
    until = time.monotonic() + patience_s
    while any(_works(process) for process in processes):
        if time.monotonic() > until:
            raise _carried_out(log_path)
        await asyncio.sleep(_POLL_S)


def _carried_out(log_path: Path) -> InvalidRequest:
    return InvalidRequest(
        f"The benchmark '{log_path.stem}' is being carried out by another program.",
        hint=f"'nova bench cancel {log_path.stem}' ends it.",
    )
