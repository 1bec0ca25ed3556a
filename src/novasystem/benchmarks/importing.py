"""Takes in benchmarks of the older design: files ``benchmark_{timestamp}.json`` in a folder.

The same content is the same benchmark, however often and under whatever names it is taken in: its
id is made from it.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from novasystem.benchmarks.older import Unreadable, benchmark_of
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.stores.protocol import BenchmarkStore
from novasystem.errors import InvalidRequest

__all__ = ["Imported", "Skipped", "import_folder", "read_file"]

_MOST_BYTES = 64 * 1024 * 1024
_PATTERN = "benchmark_*.json"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that could not be taken in, and why."""

    file: str
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """``added``: the ids of the new ones. ``known``: of those that were there already, which are
    left as they are. ``skipped``: by the names of their files."""

    added: tuple[str, ...]
    known: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    dry_run: bool


async def import_folder(
    store: BenchmarkStore, folder: Path, *, owner_id: str = "local", dry_run: bool = False
) -> Imported:
    """Take in every ``benchmark_*.json`` in ``folder``, in the order of their names.

    A file that cannot be read is told of and passed over. Raises ``InvalidRequest`` where the
    folder cannot be read.
    """
    added: dict[str, None] = {}
    known: dict[str, None] = {}
    skipped: list[Skipped] = []
    for path in await asyncio.to_thread(_files, folder):
        try:
            found = await asyncio.to_thread(read_file, path, owner_id)
        except Unreadable as error:
            skipped.append(Skipped(path.name, str(error)))
            continue
        if found.id in added or await store.get(owner_id, found.id) is not None:
            known[found.id] = None
            continue
        if not dry_run:
            await store.put(found)
        added[found.id] = None
    return Imported(tuple(added), tuple(known), tuple(skipped), dry_run)


def read_file(path: Path, owner_id: str = "local") -> Benchmark:
    """The benchmark that is in the file; raises ``Unreadable``."""
    try:
        if not path.is_file():
            raise Unreadable("it is no file")
        if path.stat().st_size > _MOST_BYTES:
            raise Unreadable(f"it is larger than {_MOST_BYTES // 2**20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    said = _read(data)
    benchmark_id = f"bench_{hashlib.sha256(_canonical(said)).hexdigest()[:24]}"
    try:
        return benchmark_of(said, benchmark_id, owner_id, path.stem.removeprefix("benchmark_"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Unreadable(f"{where}: {first['msg']}") from error


def _files(folder: Path) -> Sequence[Path]:
    try:
        if not folder.is_dir():
            raise InvalidRequest(
                f"There is no folder '{folder}'.", hint="Name the one that the files lie in."
            )
        return sorted(folder.glob(_PATTERN))
    except OSError as error:
        msg = f"The folder '{folder}' cannot be read: {error.strerror}."
        raise InvalidRequest(msg) from error


def _read(data: bytes) -> dict[str, Any]:
    """Python wrote these files: they may hold NaN, and halves of characters."""
    try:
        said = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise Unreadable("it holds no benchmark, which is a JSON object")
    return said


def _canonical(said: dict[str, Any]) -> bytes:
    """The same bytes for the same content, however it is laid out."""
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
