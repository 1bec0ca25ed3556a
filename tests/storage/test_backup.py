"""A backup holds everything, of one state; a restore brings it all back, or changes nothing."""

import os
import stat
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from novasystem.errors import ConfigurationError, InvalidRequest, NovaError
from novasystem.storage.backup import back_up
from novasystem.storage.database import Database
from novasystem.storage.portable import BackupFile, BackupWriter
from novasystem.storage.restore import Restored, check, restore
from novasystem.storage.tables import executors, metadata, runs, threads
from tests.servers.postgres import PostgresServer
from tests.storage.filled import KINDS, contents, fill, opened, written


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Where a backup is made."""
    with opened(_url(request, "made"), tmp_path / "made") as made:
        yield made


@pytest.fixture(params=KINDS)
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Where it is restored."""
    with opened(_url(request, "other"), tmp_path / "other") as made:
        yield made


def _url(request: pytest.FixtureRequest, name: str) -> str | None:
    if request.param == "sqlite":
        return None
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return postgres.new_database(f"backup_{name}")


def restored(database: Database, path: Path) -> Restored:
    with BackupFile(path) as file:
        check(file)
        return restore(database, file, path.parent / "backups")


def keys(database: Database) -> dict[str, list[int]]:
    def find(connection: sa.Connection) -> dict[str, list[int]]:
        return {
            table.name: list(connection.scalars(sa.select(table.c.key).order_by(table.c.key)))
            for table in metadata.sorted_tables
            if "key" in table.c
        }

    return database.read_now(find)


def test_everything_comes_back_in_any_database(
    database: Database, other: Database, tmp_path: Path
) -> None:
    database.write_now(fill)
    other.write_now(fill, "b", 5)
    before, others = database.read_now(contents), keys(other)
    manifest = written(database, tmp_path / "one.zip")
    assert manifest.rows == sum(len(rows) for rows in before.values())
    done = restored(other, tmp_path / "one.zip")
    after = other.read_now(contents)
    for row in before["runs"]:
        # Whoever carried it out then is not there any more.
        row["executor"] = row["executor"] and "restored"
    assert after == before
    assert done.rows == {name: len(rows) for name, rows in before.items()}
    # No key that was ever given out names another row now; the next one is new as well.
    for name, found in keys(other).items():
        assert min(found) > max(others[name])
    other.write_now(fill, "c", 1)
    for name, found in keys(other).items():
        assert len(found) > len(before[name])
        assert found == sorted(set(found))
    assert len(other.read_now(_alive)) == 5 + 1


def _alive(connection: sa.Connection) -> list[str]:
    return list(connection.scalars(sa.select(executors.c.id)))


def test_what_was_there_is_backed_up_first(database: Database, tmp_path: Path) -> None:
    database.write_now(fill)
    written(database, tmp_path / "one.zip")
    database.write_now(fill, "later")
    before = database.read_now(contents)
    done = restored(database, tmp_path / "one.zip")
    assert done.before is not None
    assert len(database.read_now(contents)["threads"]) == 3
    again = restored(database, done.before)
    assert [row["id"] for row in database.read_now(contents)["items"]] == [
        row["id"] for row in before["items"]
    ]
    assert again.before != done.before


def test_restoring_again_and_again_keeps_the_keys_small(database: Database, tmp_path: Path) -> None:
    database.write_now(fill)
    rows = len(keys(database)["runs"])
    for number in range(4):
        written(database, tmp_path / f"{number}.zip")
        restored(database, tmp_path / f"{number}.zip")
    assert max(keys(database)["runs"]) == 5 * rows


def test_a_backup_is_of_one_state(database: Database, tmp_path: Path) -> None:
    database.write_now(fill)
    before = {name: len(rows) for name, rows in database.read_now(contents).items()}
    seen: list[str] = []

    def meanwhile(table: str, done: int, _rows: int) -> None:
        if not done and len(seen) < 6:
            # Another connection, and a transaction of its own, while the backup is being read.
            seen.append(table)
            database.write_now(fill, f"late{len(seen)}", 1)

    with BackupWriter(tmp_path / "one.zip") as writer:
        manifest = database.read_now(back_up, writer, progress=meanwhile)
    assert len(seen) == 6
    assert {name: part.rows for name, part in manifest.tables.items()} == before
    restored(database, tmp_path / "one.zip")
    assert {name: len(rows) for name, rows in database.read_now(contents).items()} == before


def test_a_restore_that_fails_changes_nothing(database: Database, tmp_path: Path) -> None:
    database.write_now(fill)
    written(database, tmp_path / "one.zip")
    database.write_now(fill, "later", 1)
    before, numbers = database.read_now(contents), keys(database)

    def fail(table: str, done: int, _rows: int) -> None:
        if table == "run_steps" and done:
            raise KeyboardInterrupt

    with BackupFile(tmp_path / "one.zip") as file, pytest.raises(KeyboardInterrupt):
        restore(database, file, tmp_path / "backups", progress=fail)
    assert database.read_now(contents) == before
    assert keys(database) == numbers


def test_others_write_before_or_after_a_restore_and_read_meanwhile(
    database: Database, tmp_path: Path
) -> None:
    """A restore that let a writer in between would mix the two states."""
    database.write_now(fill)
    written(database, tmp_path / "one.zip")
    with ThreadPoolExecutor(1) as other:
        writing: list[Future[None]] = []

        def meanwhile(table: str, done: int, rows: int) -> None:
            if table == "items" and not done and not writing:
                writing.append(other.submit(database.write_now, fill, "meanwhile", 1))
                assert len(database.read_now(contents)["threads"]) == 3
                if not database.is_sqlite:
                    # Asked for, and not granted: only then is there something to see.
                    _until_someone_waits(database)

        with BackupFile(tmp_path / "one.zip") as file:
            restore(database, file, tmp_path / "backups", progress=meanwhile)
        writing[0].result(60)
    owners = [row["owner_id"] for row in database.read_now(contents)["threads"]]
    assert owners == ["a", "a", "a", "meanwhile"]


def _until_someone_waits(database: Database) -> None:
    asked = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    for _ in range(500):
        if database.read_now(lambda connection: connection.scalar(asked)):
            return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A backup of an SQLite database, ``tmp_path/made``."""
    with opened(None, tmp_path / "made") as made:
        made.write_now(fill)
        written(made, tmp_path / "good.zip")
    return tmp_path / "good.zip"


def refused(path: Path) -> str:
    with pytest.raises(NovaError) as caught, BackupFile(path) as file:
        check(file)
    assert isinstance(caught.value, InvalidRequest | ConfigurationError)
    assert str(path) in caught.value.message
    return caught.value.message


def test_every_damage_is_noticed(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    bad = tmp_path / "bad.zip"
    for size in (*range(0, len(data), len(data) // 40), len(data) - 1):
        bad.write_bytes(data[:size])
        assert "not a whole backup" in refused(bad)
    with BackupFile(good) as file:
        whole = held(file)
    noticed = 0
    for place in range(0, len(data), len(data) // 300):
        bad.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            with BackupFile(bad) as file:
                check(file)
                # Only the archive's own dates and the like were hit.
                assert held(file) == whole
        except (InvalidRequest, ConfigurationError):
            noticed += 1
    assert noticed > 200


def held(file: BackupFile) -> object:
    return file.manifest, {name: list(file.rows(name)) for name in file.manifest.tables}


def changed(good: Path, path: Path, **manifest: object) -> Path:
    """The same backup with another manifest, and rows that go with it."""
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "manifest.json":
                data = orjson.dumps({**orjson.loads(data), **manifest})
            new.writestr(name, data)
    return path


def test_what_is_no_backup_of_ours_is_refused(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    assert "cannot be read" in refused(tmp_path)
    assert "No such file" in refused(tmp_path / "none.zip")
    path.write_text("hello")
    assert "not a whole backup" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "manifest" in refused(path)
    assert "manifest" in refused(changed(good, path, format="other"))
    assert "manifest" in refused(changed(good, path, tables=[]))
    assert "does not hold the tables" in refused(changed(good, path, tables={}))
    assert "a newer version" in refused(changed(good, path, schema="9999"))


def test_a_part_that_was_changed_is_noticed(good: Path, tmp_path: Path) -> None:
    """The archive's own sums fit again; ours do not."""
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "tables/items.jsonl":
                data = data.replace(b'"user"', b'"assistant"', 1)
            new.writestr(name, data)
    assert "table 'items' does not match its checksum" in refused(path)


def test_a_newer_format_says_so(good: Path, tmp_path: Path) -> None:
    path = changed(good, tmp_path / "bad.zip", format_version=2)
    with pytest.raises(InvalidRequest, match="has format 2"):
        BackupFile(path)


def test_columns_that_do_not_fit_are_refused_and_nothing_is_changed(
    good: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(good) as archive:
        tables = orjson.loads(archive.read("manifest.json"))["tables"]
    columns = tables["threads"]["columns"]
    tables["threads"]["columns"] = {
        "other" if name == "owner_id" else name: kind for name, kind in columns.items()
    }
    path = changed(good, tmp_path / "bad.zip", tables=tables)
    with opened(None, tmp_path / "made") as made:
        before = made.read_now(contents)
        with BackupFile(path) as file, pytest.raises(InvalidRequest, match="other columns"):
            restore(made, file, tmp_path / "backups")
        assert made.read_now(contents) == before


def test_only_the_owner_can_read_a_backup(good: Path) -> None:
    assert stat.S_IMODE(good.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_kept_unless_it_is_said_otherwise(
    good: Path, tmp_path: Path
) -> None:
    with opened(None, tmp_path / "made") as made:
        data = good.read_bytes()
        with pytest.raises(InvalidRequest, match="is there already"):
            written(made, good)
        assert good.read_bytes() == data
        with BackupWriter(good, overwrite=True) as writer:
            made.read_now(back_up, writer)
    with BackupFile(good) as file:
        check(file)


def test_a_backup_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with opened(None, tmp_path / "made") as made:
        made.write_now(fill)

        def fail(table: str, done: int, rows: int) -> None:
            if table == "runs" and done == rows:
                raise KeyboardInterrupt

        with (
            pytest.raises(KeyboardInterrupt),
            BackupWriter(tmp_path / "one.zip") as writer,
        ):
            made.read_now(back_up, writer, progress=fail)
    assert os.listdir(tmp_path) == ["made"]


def test_where_it_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="No such file"):
        BackupWriter(tmp_path / "none" / "one.zip").__enter__()


def test_the_memory_that_a_backup_takes_does_not_grow_with_the_data(tmp_path: Path) -> None:
    peaks = []
    with opened(None, tmp_path / "made") as made:
        for first, last in ((0, 15), (15, 60)):

            def grow(connection: sa.Connection, first: int, last: int) -> None:
                for number in range(first, last):
                    fill(connection, f"o{number}", 8)

            made.write_now(grow, first, last)
            tracemalloc.start()
            written(made, tmp_path / f"{last}.zip")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_runs_that_were_under_way_are_nobodys(database: Database, tmp_path: Path) -> None:
    """Not even those of whoever carried them out then, and still runs."""
    database.write_now(fill)
    row = {"id": "exec_then", "pid": 1, "place": "here", "started_at": 1, "beat": 0}
    database.write_now(lambda connection: connection.execute(sa.insert(executors), row))
    written(database, tmp_path / "one.zip")
    restored(database, tmp_path / "one.zip")

    def orphans(connection: sa.Connection) -> set[str]:
        known = sa.select(executors.c.id)
        asked = sa.select(runs.c.status).where(
            runs.c.executor.is_not(None), runs.c.executor.not_in(known)
        )
        return set(connection.scalars(asked))

    assert database.read_now(orphans) == {"in_progress", "cancelling"}
    held = sa.select(threads.c.active_run).where(threads.c.active_run.is_not(None))
    assert len(list(database.read_now(lambda c: c.scalars(held).all()))) == 3
