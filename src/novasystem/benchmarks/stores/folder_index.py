"""What a folder of benchmarks holds, read anew where its files have changed."""

import dataclasses
import hashlib
import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from novasystem.benchmarks.stores.encode import CorruptRecord, decode
from novasystem.benchmarks.stores.facts import Head, head_of

__all__ = ["FolderIndex", "file_name"]

_log = structlog.get_logger(__name__)
# A change right after a look may leave the folder with the time that it had: some systems count
# two seconds as one time. A look so shortly after a change is not relied upon.
_SETTLED_NS = 2_500_000_000
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# Names that mean a device on Windows, whatever comes after the dot.
_DEVICES = re.compile(r"con|prn|aux|nul|com\d|lpt\d")


def file_name(shown: str) -> str:
    """A name for a file or folder, good on every system: the word itself or, where letters or
    their case could be trouble, a digest of it."""
    if _PLAIN.fullmatch(shown) and not _DEVICES.fullmatch(shown):
        return shown
    return f"x-{hashlib.blake2b(shown.encode('utf-8', 'replace'), digest_size=20).hexdigest()}"


class _Stamp(NamedTuple):
    """By which one sees whether a file is still the same."""

    changed_ns: int
    size: int
    inode: int


@dataclasses.dataclass(frozen=True, slots=True)
class FolderIndex:
    """``heads`` by id. ``files``: the stamp of each file, and the id of what is in it; ``None``
    where that cannot be read. ``version`` is another one after each change."""

    heads: Mapping[str, Head]
    files: Mapping[str, tuple[_Stamp, str | None]]
    version: str
    changed_ns: int
    settled: bool

    @classmethod
    def of(cls, folder: Path, owner_id: str, known: "FolderIndex | None") -> "FolderIndex":
        """``known``, or where the folder has changed since a new one; only files that have changed
        are read. Raises ``OSError``."""
        try:
            changed_ns = os.stat(folder).st_mtime_ns
        except FileNotFoundError:
            return cls({}, {}, "", 0, settled=False)
        if known is not None and known.settled and known.changed_ns == changed_ns:
            return known
        settled = abs(time.time_ns() - changed_ns) > _SETTLED_NS
        heads: dict[str, Head] = {}
        files: dict[str, tuple[_Stamp, str | None]] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.endswith(".json") or entry.name.startswith("."):
                    continue
                try:
                    found = entry.stat()
                except FileNotFoundError:
                    continue
                stamp = _Stamp(found.st_mtime_ns, found.st_size, found.st_ino)
                before = None if known is None else known.files.get(entry.name)
                if known is not None and before is not None and before[0] == stamp:
                    files[entry.name] = before
                    if before[1] is not None:
                        heads[before[1]] = known.heads[before[1]]
                    continue
                head = _read(Path(entry.path), owner_id)
                files[entry.name] = (stamp, None if head is None else head.id)
                if head is not None:
                    heads[head.id] = head
        if known is not None and known.files == files and known.version:
            version = known.version
        else:
            version = secrets.token_hex(8)
        return cls(heads, files, version, changed_ns, settled)

    def doubted(self) -> "FolderIndex":
        """The same, to be looked at anew."""
        return dataclasses.replace(self, settled=False, version="")


def _read(path: Path, owner_id: str) -> Head | None:
    try:
        benchmark = decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (CorruptRecord, OSError) as error:
        _log.warning("benchmark_skipped", file=str(path), why=str(error))
        return None
    if benchmark.owner_id != owner_id or file_name(benchmark.id) != path.stem:
        why = f"it holds '{benchmark.id}' of '{benchmark.owner_id}', which its place does not say"
        _log.warning("benchmark_skipped", file=str(path), why=why)
        return None
    return head_of(benchmark)
