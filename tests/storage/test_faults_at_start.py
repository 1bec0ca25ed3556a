"""A server that cannot use its data does not start, and says why; what is there stays as it is."""

import os
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.http.wire import ask
from tests.servers.nova import nova_server

OFF = {"NOVA_EMBEDDED": "off"}


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path, OFF)


def refused(command: Command, code: int = 2) -> str:
    """What ``nova serve`` says when it ends at once."""
    said = command.run("serve", "--port", "0", code=code).stderr
    assert "Traceback" not in said
    assert "listening" not in said
    return said.partition("Error: ")[2]


def test_only_the_owner_can_look_at_the_data(tmp_path: Path) -> None:
    with nova_server(tmp_path, OFF):
        data = tmp_path / "data"
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        files = list(data.iterdir())
        # What SQLite puts beside it has the permissions of the file.
        assert {"nova.db", "nova.db.lock", "nova.db-wal"} <= {file.name for file in files}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_file_in_the_place_of_the_folder(command: Command) -> None:
    (command.folder / "data").write_text("mine")
    said = refused(command)
    assert f"The folder '{command.folder}/data' cannot be made" in said
    assert "NOVA_DATA_DIR" in said
    assert (command.folder / "data").read_text() == "mine"


def test_a_folder_in_the_place_of_the_file(command: Command) -> None:
    (command.folder / "data" / "nova.db").mkdir(parents=True)
    assert "cannot be written: Is a directory" in refused(command)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can write to, with data in it."""
    folder = tmp_path / "data"
    Command(tmp_path, OFF).run("db", "upgrade")
    if os.geteuid() != 0:
        for path in (*folder.iterdir(), folder):
            path.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    # Permissions do not keep root out; a read-only mount does.
    bind = ["mount", "--bind", str(folder), str(folder)]
    again = ["mount", "-o", "remount,ro,bind", str(folder)]
    if subprocess.run(bind, check=False).returncode != 0:
        pytest.skip("root may not mount anything here")
    subprocess.run(again, check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_folder_that_cannot_be_written(command: Command, read_only: Path) -> None:
    said = refused(command)
    assert str(read_only) in said
    assert "cannot be written" in said
    other = command.having(NOVA_DATA_DIR=str(read_only / "below"))
    assert "cannot be made" in refused(other)


@pytest.mark.parametrize("place", [0, 4096])
def test_a_damaged_file_is_named_and_left_alone(command: Command, place: int) -> None:
    command.run("db", "upgrade")
    command.run("db", "backup")
    path = command.folder / "data" / "nova.db"
    data = path.read_bytes()
    damaged = data[:place] + b"\xa5" * 4096 + data[place + 4096 :]
    if place:
        # The page that the schema begins on: its first one has the header of the file.
        damaged = data[:100] + b"\xa5" * 3996 + data[4096:]
    path.write_bytes(damaged)
    said = refused(command, code=1)
    assert f"The file '{path}' is damaged" in said
    assert "nova db restore" in said
    assert f"Backups lie in {command.folder}/data/backups." in said
    assert path.read_bytes() == damaged
    # As it says: moved away, the backup takes its place.
    (backup,) = (command.folder / "data" / "backups").glob("*.zip")
    assert "is damaged" in command.run("db", "info", code=1).stderr
    path.rename(path.with_name("damaged.db"))
    command.run("db", "restore", "--yes", str(backup))
    with nova_server(command.folder, OFF) as server:
        assert ask(server.port, "GET", "/health").status == 200


def test_a_second_server_is_refused_and_the_first_unharmed(command: Command) -> None:
    with nova_server(command.folder, OFF) as server:
        said = refused(command)
        assert f"Another server works on the data in '{command.folder}/data'" in said
        assert "NOVA_DATA_DIR" in said
        assert ask(server.port, "GET", "/health").status == 200
        with sqlite3.connect(f"file:{command.folder}/data/nova.db?mode=ro", uri=True) as database:
            # It is still registered as the one that carries out runs.
            assert database.execute("SELECT pid FROM executors").fetchall() == [
                (server.process.pid,)
            ]
        database.close()


def test_a_database_in_memory_is_refused(command: Command) -> None:
    assert "not supported" in refused(command.having(NOVA_DATABASE_URL="sqlite:///:memory:"))


def test_postgresql_that_is_not_there(command: Command) -> None:
    said = refused(command.having(NOVA_DATABASE_URL="postgresql://u:secret@127.0.0.1:9/x"), 1)
    assert "cannot be used now" in said
    assert "secret" not in said


def test_without_its_package_postgresql_is_explained(command: Command) -> None:
    """A plain installation lacks psycopg: SQLite works, and PostgreSQL says what to install."""
    hidden = command.folder / "hidden"
    (hidden / "psycopg").mkdir(parents=True)
    # A package of that name that cannot be imported comes before the installed one.
    (hidden / "psycopg" / "__init__.py").write_text("raise ModuleNotFoundError('psycopg')")
    lacking = command.having(PYTHONPATH=str(hidden))
    said = lacking.having(NOVA_DATABASE_URL="postgresql://u@127.0.0.1/x")
    assert "pip install 'novasystem[postgres]'" in refused(said)
    with nova_server(lacking.folder, dict(lacking.environment)) as server:
        assert ask(server.port, "GET", "/health").status == 200
