"""A file of samples that only grows: pieces of many requests, one after the other.

A piece is the mark ``NVS1``, its length in four bytes, and what
:func:`~novasystem.benchmarks.stores.encode.pack` made. The end of a piece that was never finished
is passed over: the next mark begins the next one.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import structlog

from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.stores.encode import CorruptRecord, pack, pieces, unpack

__all__ = ["append", "read_log"]

_log = structlog.get_logger(__name__)
_MARK = b"NVS1"
_HEAD = len(_MARK) + 4


def append(path: Path, samples: Sequence[Sample]) -> None:
    """Raises ``OSError``."""
    packed = [pack(piece) for piece in pieces(samples)]
    data = b"".join(_MARK + len(one).to_bytes(4, "little") + one for one in packed)
    with open(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_log(path: Path) -> list[Sample]:
    """All that can be read; a warning in the log for each piece that cannot. Raises ``OSError``."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    found: list[Sample] = []
    start = data.find(_MARK)
    while start >= 0:
        end = start + _HEAD + int.from_bytes(data[start + len(_MARK) : start + _HEAD], "little")
        try:
            if end > len(data):
                raise CorruptRecord("it ends too early")
            found.extend(unpack(data[start + _HEAD : end]))
        except CorruptRecord as error:
            _log.warning("benchmark_samples_skipped", file=str(path), at=start, why=str(error))
            end = start + 1
        start = data.find(_MARK, end)
    return found
