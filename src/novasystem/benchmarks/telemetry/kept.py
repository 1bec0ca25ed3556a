"""Readings in a file beside a benchmark's log, so that a report can draw them later."""

import gzip
import os
import zlib
from pathlib import Path

import orjson
import structlog

from novasystem.benchmarks.telemetry.readings import Readings, halved, pack, unpack

__all__ = ["keep_readings", "kept_readings"]

_MAX_ROWS = 4096

_log = structlog.get_logger(__name__)


def keep_readings(path: Path, readings: Readings) -> None:
    """Write them, in place of those that were there; what an earlier execution of the same
    benchmark had left stays before them. A disk that takes nothing is a warning: every figure is
    in the benchmark, only curves are lost."""
    before = kept_readings(path)
    rows = readings.rows
    if before is not None and rows and before.rows and before.rows[-1].at_ns < rows[0].at_ns:
        same = before.servers == readings.servers
        if same and len(before.rows[-1].gpus) == len(rows[0].gpus):
            rows = (*before.rows, *rows)
    while len(rows) > _MAX_ROWS:
        rows = tuple(halved(rows))
    whole = Readings(
        rows, readings.servers, readings.absent, readings.sampler_cpu_s, readings.skipped
    )
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = gzip.compress(orjson.dumps(pack(whole)), compresslevel=4)
        # As the log beside it, for nobody else's eyes.
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
        os.replace(partial, path)
    except OSError as error:
        _log.warning("what the machine did is not kept", path=str(path), error=str(error))


def kept_readings(path: Path) -> Readings | None:
    """``None`` where there are none, or where the file is broken, with a warning."""
    try:
        return unpack(orjson.loads(gzip.decompress(path.read_bytes())))
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        _log.warning("what the machine did cannot be read", path=str(path), error=str(error))
        return None
