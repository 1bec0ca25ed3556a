"""The log: what is written is read back, whoever was killed in between."""

import asyncio
import dataclasses
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from novasystem.benchmarks.resuming import Repetition, done
from novasystem.benchmarks.sample_log import (
    ClientFigures,
    End,
    Header,
    Live,
    ModelState,
    Record,
    SampleLog,
    SweepStep,
    encode,
    read_log,
    sample_fields,
    sample_from,
    size_of,
    tail_log,
)
from novasystem.benchmarks.samples import Arrived, Failure, Sample
from novasystem.benchmarks.sweep import Step
from novasystem.engines.events import ServerTimings
from novasystem.errors import StorageUnavailable

SAMPLE = Sample(
    number=4,
    model="m",
    phase="warm",
    block=1,
    item=2,
    turn=0,
    counted=True,
    scheduled_ns=1,
    sent_ns=2,
    reused=True,
    first_chunk_ns=3,
    first_token_ns=4,
    first_answer_ns=None,
    last_token_ns=9,
    ended_ns=10,
    arrivals=(Arrived(4, 1, 20, 3), Arrived(9, 2, 41, 4)),
    chunks=4,
    reads=3,
    received_bytes=99,
    prompt_tokens=5,
    completion_tokens=None,
    cached_tokens=0,
    reasoning_tokens=None,
    timings=ServerTimings(prefill_s=0.25, prefill_tokens=5),
    finish_reason="stop",
    text='ü\u2028\n"x"',
    reasoning="",
    failure=Failure("engine_timeout", "silent", "wait"),
    lag_ns=7,
    rate_per_s=2.5,
)
EVERY: list[Record] = [
    Header({"mode": "parallel"}, "b", 12345, 0, "2026-01-01T00:00:00+00:00", 9, workers=(10, 11)),
    ModelState("m", "started", 1),
    ModelState("m", "phase", 1, "cold"),
    Live("m", 4, 5, "te\nxt", reasoning=True),
    SAMPLE,
    ClientFigures(6, 0.5, 100, 3),
    SweepStep("m", "warm", 0, 7, Step(5.0, 10, 9, None, 0.001)),
    ModelState("m", "failed", 8, failure=Failure("c", "m")),
    End("failed", 20, 1.0, 0.5, 300, Failure("c", "m", "h"), (0.2, 0.3), (300, 1)),
]


def written(path: Path, *records: Record) -> None:
    log = SampleLog(path)
    for record in records:
        log.append(record)
    log.close()


def test_every_record_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path, *EVERY)
    assert list(read_log(path)) == EVERY
    assert path.read_bytes().count(b"\n") == len(EVERY)
    assert path.stat().st_mode & 0o077 == 0


def test_a_sample_without_arrivals() -> None:
    none = dataclasses.replace(SAMPLE, arrivals=(), failure=None, timings=None)
    assert sample_from(sample_fields(none)) == none


def test_each_record_is_there_as_soon_as_it_is_written(tmp_path: Path) -> None:
    """No buffer stands between: who is killed then has lost nothing."""
    path = tmp_path / "log"
    log = SampleLog(path)
    for count, record in enumerate(EVERY, 1):
        log.append(record)
        assert len(list(read_log(path))) == count
    log.close()


@pytest.mark.parametrize("keep", range(1, 40, 3))
def test_a_torn_last_line_is_passed_over(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "log"
    written(path, SAMPLE, EVERY[1])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:keep])
    assert list(read_log(path)) == [SAMPLE]
    # What is appended then begins on a line of its own.
    written(path, EVERY[-1])
    assert list(read_log(path)) == [SAMPLE, EVERY[-1]]


def test_what_one_of_several_left_torn_takes_no_others_record(tmp_path: Path) -> None:
    path = tmp_path / "log"
    one, other = SampleLog(path, shared=True), SampleLog(path, shared=True)
    one.append(SAMPLE)
    # As a full disk leaves it, while the other process goes on.
    with path.open("ab") as file:
        file.write(encode(SAMPLE)[:20])
    other.append(EVERY[1])
    one.append(EVERY[-1])
    assert list(read_log(path)) == [SAMPLE, EVERY[1], EVERY[-1]]
    before = path.stat().st_size
    other.append(SAMPLE)
    assert list(read_log(path, skip=before)) == [SAMPLE]
    one.close()
    other.close()


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    assert list(read_log(tmp_path / "none")) == []
    assert size_of(tmp_path / "none") == 0


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be written: No such file") as raised:
        SampleLog(tmp_path / "none" / "log")
    assert "resume" in raised.value.hint


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_says_so() -> None:
    log = SampleLog(Path("/dev/full"))
    with pytest.raises(StorageUnavailable, match="No space left") as raised:
        log.append(SAMPLE)
    assert raised.value.code == "storage_full"


async def test_the_tail_follows(tmp_path: Path) -> None:
    path = tmp_path / "log"
    ended = False
    log: SampleLog | None = None
    async with (
        asyncio.timeout(20),
        aclosing(tail_log(path, lambda: ended, poll_s=0.005)) as records,
    ):
        coming = asyncio.ensure_future(anext(records))
        await asyncio.sleep(0.02)
        log = SampleLog(path)
        log.append(EVERY[0])
        assert await coming == EVERY[0]
        # A line that comes in two pieces is one.
        data = encode(SAMPLE)
        half = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(half, data[:50])
        coming = asyncio.ensure_future(anext(records))
        await asyncio.sleep(0.05)
        assert not coming.done()
        os.write(half, data[50:])
        os.close(half)
        assert await coming == SAMPLE
        log.append(EVERY[-1])
        ended = True
        assert [record async for record in records] == [EVERY[-1]]
    log.close()


async def test_the_tail_skips_what_is_known_and_reads_more_than_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path, EVERY[0], SAMPLE)
    known = size_of(path)
    many = 400
    written(path, *[SAMPLE] * many)
    assert size_of(path) - known > 2 * 64 * 1024
    found = [record async for record in tail_log(path, lambda: True, skip=known)]
    assert found == [SAMPLE] * many


def test_what_is_done() -> None:
    broken = dataclasses.replace(SAMPLE, number=9, failure=Failure("cancelled", ""), ended_ns=50)
    uncounted = dataclasses.replace(SAMPLE, number=11, counted=False)
    found = done([*EVERY, broken, uncounted], keep=True)
    assert (found.next_number, found.ended_ns, found.part) == (12, 50, 1)
    repetition: Repetition = ("m", "warm", 1)
    assert found.samples == {repetition: [SAMPLE]}
    # It failed, and so is done; once only.
    assert found.take(repetition, 2, 0)
    assert not found.take(repetition, 2, 0)
    assert found.steps == {("m", "warm", 0): [Step(5.0, 10, 9, None, 0.001)]}
    assert not found.completed
    assert done([EVERY[0], End("completed", 3)]).completed
    assert not done([EVERY[0], End("completed", 3), EVERY[0]]).completed
