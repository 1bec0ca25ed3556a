"""The file of a backup, the same for every database.

A zip archive. ``tables/NAME.jsonl`` holds a table: one row a line, a JSON array in the order of the
manifest's columns. ``manifest.json``, written last, says what there is::

    {"format": "novasystem-backup", "format_version": 1, "schema": "0001", "program": "0.1.0",
     "created_at": "2026-01-31T12:00:00Z", "database": "sqlite",
     "tables": {"threads": {"columns": {"key": "integer", "id": "text"}, "rows": 2,
                            "sha256": "...", "first_key": 1, "last_key": 7}}}

The checksum is that of the part as it is before it is packed. Bytes are written as text with a
character each (Latin-1): what is JSON inside them packs as well as it would by itself.
"""

import contextlib
import datetime
import hashlib
import os
import secrets
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from novasystem.errors import InvalidRequest, NovaError, StorageFull, StorageUnavailable
from novasystem.storage.folders import publish
from novasystem.storage.ids import now_ms

__all__ = ["BackupFile", "BackupWriter", "Kind", "Manifest", "Part", "Progress"]

Kind = Literal["integer", "real", "boolean", "text", "bytes"]
Progress = Callable[[str, int, int], None]
"""Told of a table, how many of its rows are done, and how many there are."""

_FORMAT = "novasystem-backup"
_VERSION = 1
_MANIFEST = "manifest.json"
_TYPES: dict[Kind, tuple[type, ...]] = {
    "integer": (int,),
    "real": (float, int),
    "boolean": (bool,),
    "text": (str,),
    "bytes": (str,),
}
_FULL = {28, 122}  # ENOSPC, EDQUOT


@dataclass(frozen=True, slots=True)
class Part:
    """One table. ``first_key`` and ``last_key``: of its column ``key``, where it has one."""

    columns: Mapping[str, Kind]
    rows: int
    sha256: str
    first_key: int | None = None
    last_key: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    schema: str
    program: str
    created_at: str
    database: str
    tables: Mapping[str, Part] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.tables.values())


class BackupWriter:
    """Writes a backup beside ``target`` and gives it that name once it is whole.

    What fails leaves nothing behind. Raises ``InvalidRequest`` where ``target`` cannot be written,
    ``StorageFull`` where the disk is full.
    """

    def __init__(self, target: Path, *, overwrite: bool = False) -> None:
        self.target = target
        self._overwrite = overwrite
        self._partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        self._parts: dict[str, Part] = {}
        self._file: IO[bytes]
        self._archive: zipfile.ZipFile

    def __enter__(self) -> "BackupWriter":
        if self.target.exists() and not self._overwrite:
            raise InvalidRequest(
                f"The file '{self.target}' is there already.",
                hint="Choose another name, or say --overwrite.",
            )
        with _told(self.target):
            # Nobody else may read it, from the first byte on.
            number = os.open(self._partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        self._file = os.fdopen(number, "w+b")
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=3)
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        # Closed in this order, and whatever happens: a full disk lets the archive's end fail too.
        with contextlib.suppress(OSError, ValueError):
            self._archive.close()
        with contextlib.suppress(OSError):
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def table(self, name: str, columns: Mapping[str, Kind], rows: Iterable[Sequence[Any]]) -> None:
        """Write one table; ``rows`` is read as it goes."""
        sha = hashlib.sha256()
        number = 0
        keys = list(columns).index("key") if "key" in columns else None
        binary = [place for place, kind in enumerate(columns.values()) if kind == "bytes"]
        first: int | None = None
        last: int | None = None
        with (
            _told(self.target),
            self._archive.open(_entry(f"tables/{name}.jsonl"), "w", force_zip64=True) as part,
        ):
            for row in rows:
                values = list(row)
                for place in binary:
                    if values[place] is not None:
                        values[place] = bytes(values[place]).decode("latin-1")
                if keys is not None:
                    last = values[keys]
                    first = last if first is None else first
                line = orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)
                sha.update(line)
                part.write(line)
                number += 1
        self._parts[name] = Part(dict(columns), number, sha.hexdigest(), first, last)

    def finish(self, *, schema: str, program: str, database: str) -> Manifest:
        """Write the manifest, and give the file its name."""
        stamp = _iso(now_ms())
        manifest = Manifest(schema, program, stamp, database, dict(self._parts))
        head = {"format": _FORMAT, "format_version": _VERSION}
        written = orjson.dumps({**head, **_plain(manifest)}, option=orjson.OPT_INDENT_2)
        with _told(self.target):
            with self._archive.open(_entry(_MANIFEST), "w") as part:
                part.write(written)
            self._archive.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            publish(self._partial, self.target, overwrite=self._overwrite)
        return manifest


class BackupFile:
    """A backup that is there. Raises ``InvalidRequest`` where it is none, or not whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise InvalidRequest(
                f"The backup '{path}' cannot be read: {error.strerror}."
            ) from error
        try:
            self._archive = zipfile.ZipFile(self._file)
            self.manifest = _manifest(self._archive.read(_MANIFEST))
        except BaseException as error:
            self._file.close()
            if isinstance(error, NovaError) or not isinstance(error, Exception):
                raise
            raise self._broken("its manifest is missing or cannot be read") from error

    def __enter__(self) -> "BackupFile":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._archive.close()
        self._file.close()

    def check(self, progress: Progress) -> None:
        """Read all of it once; raises ``InvalidRequest`` where a byte is not as it was written."""
        for name, part in self.manifest.tables.items():
            number = 0
            for number, _ in enumerate(self.rows(name), 1):
                if number % 1000 == 0:
                    progress(name, number, part.rows)
            progress(name, number, part.rows)

    def rows(self, name: str) -> Iterator[list[Any]]:
        """The rows of a table, in order. At the end their number and checksum are compared."""
        part = self.manifest.tables[name]
        kinds = list(part.columns.values())
        binary = [place for place, kind in enumerate(kinds) if kind == "bytes"]
        allowed = [(*_TYPES[kind], type(None)) for kind in kinds]
        sha = hashlib.sha256()
        number = 0
        try:
            with self._archive.open(f"tables/{name}.jsonl") as lines:
                for line in lines:
                    sha.update(line)
                    number += 1
                    row = orjson.loads(line)
                    if len(row) != len(kinds) or not all(map(isinstance, row, allowed)):
                        raise self._broken(f"row {number} of '{name}' has not the right columns")
                    for place in binary:
                        if row[place] is not None:
                            row[place] = row[place].encode("latin-1")
                    yield row
        except NovaError:
            raise
        except Exception as error:
            # A damaged archive is found out by any of the modules that unpack it.
            raise self._broken(f"table '{name}': {error}") from error
        if number != part.rows or sha.hexdigest() != part.sha256:
            raise self._broken(f"table '{name}' does not match its checksum")

    def _broken(self, why: str) -> InvalidRequest:
        return InvalidRequest(
            f"'{self.path}' is not a whole backup of NovaSystem: {why}.",
            hint="Nothing was changed. Take another backup.",
        )


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _iso(at_ms: int) -> str:
    at = datetime.datetime.fromtimestamp(at_ms // 1000, datetime.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(manifest: Manifest) -> dict[str, Any]:
    tables = {
        name: {
            "columns": part.columns,
            "rows": part.rows,
            "sha256": part.sha256,
            "first_key": part.first_key,
            "last_key": part.last_key,
        }
        for name, part in manifest.tables.items()
    }
    return {
        "schema": manifest.schema,
        "program": manifest.program,
        "created_at": manifest.created_at,
        "database": manifest.database,
        "tables": tables,
    }


def _manifest(data: bytes) -> Manifest:
    said = orjson.loads(data)
    if said.pop("format") != _FORMAT:
        raise ValueError
    version = said.pop("format_version")
    if version != _VERSION:
        raise InvalidRequest(
            f"The backup has format {version}; this version of NovaSystem knows {_VERSION}.",
            hint="Restore it with the version that made it, or a newer one.",
        )
    tables = {name: Part(**part) for name, part in said.pop("tables").items()}
    for part in tables.values():
        if not set(part.columns.values()) <= set(_TYPES):
            raise ValueError
    return Manifest(**said, tables=tables)


@contextlib.contextmanager
def _told(target: Path) -> Iterator[None]:
    """What the system says about a file that cannot be written, as an error of ours."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(
                f"There is no room left for the backup '{target}'.",
                hint="Make room, or write it elsewhere.",
            ) from error
        message = f"The backup '{target}' cannot be written: {error.strerror}."
        if isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            raise InvalidRequest(message, hint="Choose a folder of yours.") from error
        raise StorageUnavailable(message, hint="Write it elsewhere.") from error
