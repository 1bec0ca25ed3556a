"""Whether somebody works on a benchmark: told by its log, and by the processes that there are."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from novasystem.benchmarks.former import held, load_process, stop_load, wait_for_former
from novasystem.benchmarks.sample_log import Header, SampleLog
from novasystem.errors import InvalidRequest

NAME = "novasystem.benchmarks.load_process"


def begun_by(pid: int, path: Path) -> Path:
    log = SampleLog(path)
    log.append(Header({}, "bench_1", 0, 0, "2026-01-31T12:00:00+00:00", pid))
    log.close()
    return path


def sleeping(*arguments: str) -> "subprocess.Popen[bytes]":
    """One that has begun: before that the system does not know its arguments."""
    code = "import time; print(flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def working() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is called like one that makes a load."""
    with sleeping(NAME) as process:
        yield process
        process.kill()


def test_nobody_works_where_there_is_no_log_or_its_process_is_gone(tmp_path: Path) -> None:
    assert load_process(tmp_path / "none.log") is None
    with sleeping(NAME) as process:
        process.kill()
    path = begun_by(process.pid, tmp_path / "bench_1.log")
    assert load_process(path) is None
    assert not stop_load(path)
    asyncio.run(wait_for_former(path))


def test_another_process_that_has_the_number_now_is_not_meant(tmp_path: Path) -> None:
    with sleeping() as process:
        path = begun_by(process.pid, tmp_path / "bench_1.log")
        assert not stop_load(path)
        assert process.poll() is None
        asyncio.run(wait_for_former(path, 0))
        process.kill()


def test_the_last_of_several_parts_counts(
    tmp_path: Path, working: "subprocess.Popen[bytes]"
) -> None:
    path = begun_by(working.pid, tmp_path / "bench_1.log")
    assert load_process(path) is not None
    with sleeping(NAME) as gone:
        gone.kill()
    begun_by(gone.pid, path)
    assert load_process(path) is None


def test_who_goes_on_waits_until_the_one_before_has_ended(
    tmp_path: Path, working: "subprocess.Popen[bytes]"
) -> None:
    path = begun_by(working.pid, tmp_path / "bench_1.log")
    with pytest.raises(InvalidRequest, match="by another program"):
        asyncio.run(wait_for_former(path, 0.2))
    ended: list[float] = []

    def end() -> None:
        time.sleep(0.5)
        ended.append(time.monotonic())
        working.kill()

    threading.Thread(target=end).start()
    asyncio.run(wait_for_former(path, 60))
    assert ended
    assert time.monotonic() > ended[0]


def test_it_is_told_to_end(tmp_path: Path, working: "subprocess.Popen[bytes]") -> None:
    assert stop_load(begun_by(working.pid, tmp_path / "bench_1.log"))
    assert working.wait(30) != 0


def test_of_two_that_go_on_at_the_same_moment_one_does(tmp_path: Path) -> None:
    path = tmp_path / "bench_1.log"
    with held(path):
        with pytest.raises(InvalidRequest, match="'bench_1' is being carried out"), held(path):
            pass
        with held(tmp_path / "bench_2.log"):
            pass
    with held(path):
        pass


def test_who_is_killed_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bench_1.log"
    code = (
        "import pathlib, sys, time; from novasystem.benchmarks.former import held\n"
        "with held(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(InvalidRequest), held(path):
            pass
        process.kill()
    with held(path):
        pass


def test_those_who_help_the_process_are_waited_for_too(
    tmp_path: Path, working: "subprocess.Popen[bytes]"
) -> None:
    path = tmp_path / "bench_1.log"
    log = SampleLog(path)
    gone = 2**22 - 1
    log.append(
        Header({}, "bench_1", 0, 0, "2026-01-31T12:00:00+00:00", gone, workers=(working.pid,))
    )
    log.close()
    found = load_process(path)
    assert found is not None
    assert found.pid == working.pid
    with pytest.raises(InvalidRequest):
        asyncio.run(wait_for_former(path, 0.2))
    assert stop_load(path)
    asyncio.run(wait_for_former(path))
