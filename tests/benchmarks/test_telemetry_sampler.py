"""The sampler on real processes: what it sees of them, on which clock, and what that costs."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from novasystem.benchmarks.telemetry import ByPid, ByPort, Readings, Sampler, impact
from novasystem.benchmarks.telemetry.energy import Rapl
from novasystem.benchmarks.telemetry.gpu import Gpus
from novasystem.benchmarks.telemetry.servers import Server
from tests.benchmarks.cards import FakeNvml
from tests.engines.children import eventually

_MIB = 2**20

# Holds 64 MiB, burns 0.3 s of CPU, has a child that does the same, and says what it did.
SERVER = """
import os, socket, subprocess, sys, time
held = bytearray(os.urandom(1) * (64 << 20))
until = time.process_time() + 0.3
while time.process_time() < until:
    pass
if "child" in sys.argv:
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, "-c", os.environ["CODE"]], **quiet)
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def server(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that listens; it and its child end when their standard input closes."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"CODE": SERVER},
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.stdin.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[int, int]]:
    """Process and port of a server that has run for a while."""
    with server() as (process, port):
        yield process.pid, port


def _sampler(**more: object) -> Sampler:
    """Without this machine's own joules and cards, so that a test means the same everywhere."""
    nothing = FakeNvml([])
    return Sampler(rapl=Rapl(Path("/nowhere")), gpus=Gpus(nothing), **more)  # type: ignore[arg-type]


def _rows(sampler: Sampler, count: int) -> Readings:
    assert eventually(lambda: len(sampler.readings().rows) >= count, within_s=30)
    return sampler.readings()


def test_rows_lie_on_the_clock_of_the_samples() -> None:
    before_ns = time.perf_counter_ns()
    with _sampler(hz=50) as sampler:
        _rows(sampler, 4)
    after_ns = time.perf_counter_ns()
    times = [row.at_ns for row in sampler.readings().rows]
    assert before_ns < times[0]
    assert times[-1] < after_ns
    assert times == sorted(set(times))
    moved = sampler.readings().since(before_ns)
    assert [row.at_ns for row in moved.rows] == [at - before_ns for at in times]


def test_cores_memory_and_its_own_cost() -> None:
    with _sampler(hz=50) as sampler:
        readings = _rows(sampler, 5)
    first, last = readings.rows[0], readings.rows[-1]
    assert len(first.cpu_busy_s) == len(first.cpu_total_s) > 0
    for early, late in zip(first.cpu_total_s, last.cpu_total_s, strict=True):
        assert late >= early
    for busy, total in zip(last.cpu_busy_s, last.cpu_total_s, strict=True):
        assert 0 <= busy <= total
    assert last.memory_bytes > 10 * _MIB
    assert 0 < readings.sampler_cpu_s < 5


def test_the_servers_memory_and_cpu_are_those_of_all_its_processes() -> None:
    pid: list[int | None] = [None]
    with _sampler(hz=20, servers={"model": ByPid(lambda: pid[0])}) as sampler:
        _rows(sampler, 2)
        started_ns = time.perf_counter_ns()
        with server("child") as (process, _):
            pid[0] = process.pid
            # Both hold what they hold and have burnt what they burn.
            assert eventually(lambda: _seen(sampler) == 2, within_s=30)
            assert eventually(lambda: _cpu_s(sampler) > 0.6, within_s=30)
    found = impact(sampler.readings(), started_ns, time.perf_counter_ns(), server="model")
    assert found.server_memory is not None
    assert found.server_memory * 1024 > 2 * 64
    assert found.server_cpu_s is not None
    # 0.3 seconds each, and what it takes Python to start; all of it, although the first look
    # at them came when much of it had been spent.
    assert 0.6 < found.server_cpu_s < 5


def _seen(sampler: Sampler) -> int:
    row = sampler.readings().rows[-1].servers[0]
    return 0 if row is None or row.memory_bytes < 2 * 64 * _MIB else row.processes


def _cpu_s(sampler: Sampler) -> float:
    row = sampler.readings().rows[-1].servers[0]
    return 0.0 if row is None else row.cpu_s


def test_what_a_server_used_before_is_not_counted(listener: tuple[int, int]) -> None:
    first = Server(ByPid(lambda: listener[0])).read()
    assert first is not None
    # It is older than the one who watches it, and has burnt 0.3 s by now.
    assert first.cpu_s < 0.2


def test_a_server_is_found_by_its_port(listener: tuple[int, int]) -> None:
    pid, port = listener
    find = ByPort(port)
    assert [found.pid for found in find()] == [pid]
    seen = Server(find).read()
    assert seen is not None
    assert seen.memory_bytes > 64 * _MIB


def test_where_nobody_listens_the_reason_is_told() -> None:
    with socket.socket() as held:
        # Bound and not listening: nobody else can come to listen here meanwhile.
        held.bind(("127.0.0.1", 0))
        watched = Server(ByPort(held.getsockname()[1]))
        assert watched.read() is None
    assert "seen to listen at port" in (watched.absent or "")


def test_a_server_that_dies_ends_no_sampling() -> None:
    with (
        server() as (process, _),
        _sampler(hz=20, servers={"model": ByPid(lambda: process.pid)}) as sampler,
    ):
        assert eventually(lambda: _cpu_s(sampler) >= 0 and _seen_alone(sampler), within_s=30)
        process.kill()
        process.wait()
        assert eventually(lambda: not _seen_alone(sampler), within_s=30)
        count = len(sampler.readings().rows)
        _rows(sampler, count + 2)
        assert eventually(lambda: "server.model" in sampler.readings().absent, within_s=30)
        assert "is gone" in sampler.readings().absent["server.model"]


def _seen_alone(sampler: Sampler) -> bool:
    return sampler.readings().rows[-1].servers[0] is not None


def test_memory_is_bounded_and_the_whole_time_is_covered() -> None:
    with _sampler(hz=200, max_rows=8) as sampler:
        begin = _rows(sampler, 1).rows[0]
        assert eventually(lambda: sampler.readings().rows[-1].at_ns - begin.at_ns > 5e8, 30)
    rows = sampler.readings().rows
    # Some hundred looks, less those that a busy machine left out.
    assert len(rows) <= 9
    assert rows[0].at_ns == begin.at_ns
    assert [row.at_ns for row in rows] == sorted(row.at_ns for row in rows)
    assert rows[-1].at_ns - rows[0].at_ns >= 5e8


def test_a_look_that_fails_is_told_and_the_next_one_is_made() -> None:
    class Broken(Rapl):
        def read(self) -> float | None:
            self.asked = getattr(self, "asked", 0) + 1
            if self.asked == 2:
                msg = "a driver gone mad"
                raise ValueError(msg)
            return float(self.asked)

    with Sampler(hz=50, rapl=Broken(Path("/nowhere")), gpus=Gpus(FakeNvml([]))) as sampler:
        readings = _rows(sampler, 4)
    assert "a driver gone mad" in readings.absent["telemetry"]


@pytest.mark.parametrize("hz", [0, -1, 5000])
def test_a_rate_that_cannot_be_is_refused(hz: float) -> None:
    with pytest.raises(ValueError, match="hz"):
        Sampler(hz=hz)
