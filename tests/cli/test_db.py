"""``nova db``: beside a running server and without one, on SQLite and on PostgreSQL."""

import json
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.cli.command import Command
from tests.http.doors import Door, open_door
from tests.http.wire import ask, eventually, opened
from tests.servers.answers import Stall, openai_stream
from tests.servers.nova import nova_server
from tests.servers.postgres import PostgresServer

CHAT = "/api/v1/chat"


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest, command: Command) -> Command:
    """``nova`` with a database of each kind; all that a server needs is in its environment."""
    if request.param == "sqlite":
        return command
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return command.having(NOVA_DATABASE_URL=postgres.new_database("db_command"))


@pytest.fixture
def door(stored: Command) -> Iterator[Door]:
    # No turn is to end because this machine is slow.
    patient = {"NOVA_BETWEEN_TOKENS_TIMEOUT_S": "300", "NOVA_FIRST_TOKEN_TIMEOUT_S": "300"}
    with open_door(stored.folder, {**stored.environment, **patient}) as opened:
        yield opened


def show(command: Command, *arguments: str) -> Any:
    return json.loads(command.run("db", *arguments, "--json").stdout)


def say(door: Door, conversation: str, text: str, answer: str) -> list[str]:
    """One turn; what the engine was shown of the conversation."""
    door.answers(openai_stream([answer]))
    with opened(door.port, CHAT, {"message": text, "conversation_id": conversation}) as stream:
        last = stream.rest()[-1]
    assert last.name == "done", last
    return [message["content"] for message in door.asked[0].json["messages"]]


def test_a_backup_is_restored_while_the_server_runs(stored: Command, door: Door) -> None:
    kept, later = str(uuid4()), str(uuid4())
    say(door, kept, "one", "1")
    made = show(stored, "backup", "one.zip")
    assert made["tables"]["items"] == 2
    assert stat.S_IMODE((stored.folder / "one.zip").stat().st_mode) == 0o600
    assert say(door, kept, "two", "2") == ["one", "1", "two"]
    say(door, later, "x", "y")
    done = show(stored, "restore", "--yes", "one.zip")
    assert done["tables"] == made["tables"]
    # The server goes on with what is there now: one turn, and a conversation that never was.
    assert say(door, kept, "three", "3") == ["one", "1", "three"]
    assert say(door, later, "x", "y") == ["x"]
    # And what was there before can be had back.
    show(stored, "restore", "--yes", done["before"])
    assert say(door, kept, "four", "4") == ["one", "1", "two", "2", "four"]
    found = show(stored, "info")
    assert found["tables"]["threads"] == 2
    assert len(found["backup_files"]) == 2


def test_a_turn_that_is_under_way_ends_with_the_data_it_belongs_to(
    stored: Command, door: Door
) -> None:
    """Neither its row, nor one of the backup that has its id, is written to by what still runs."""
    conversation = str(uuid4())
    say(door, conversation, "one", "1")
    door.answers([*openai_stream(["thinking"], finish=None, done=False)[:-1], Stall()])
    asked = {"message": "two", "conversation_id": conversation}
    with opened(door.port, CHAT, asked) as stream:
        assert stream.next().json["content"] == "thinking"
        # In the backup it is under way as well.
        eventually(lambda: _runs(stored) == [("completed", None), ("in_progress", None)])
        show(stored, "backup", "busy.zip")
        show(stored, "restore", "--yes", "busy.zip")
        # The server notices without being told, and ends it: nobody carries it out any more.
        done, ended = eventually(lambda: _ended(stored), 30)
        assert done == ("completed", None)
        assert ended[0] == "failed"
        assert json.loads(ended[1])["code"] == "interrupted"
        last = stream.rest()[-1]
        assert last.name == "error", last
    assert say(door, conversation, "three", "3") == ["one", "1", "two", "thinking", "three"]
    assert "Traceback" not in door.server.log_path.read_text()


def _runs(command: Command) -> list[tuple[str, str | None]]:
    return [tuple(row) for row in _rows(command, "SELECT status, error FROM runs ORDER BY key")]


def _ended(command: Command) -> list[Any]:
    """The runs, once none is under way."""
    found = _rows(command, "SELECT status, error FROM runs ORDER BY key")
    return [] if ("in_progress", None) in map(tuple, found) else found


def _rows(command: Command, statement: str) -> list[Any]:
    if url := command.environment.get("NOVA_DATABASE_URL"):
        import psycopg

        with psycopg.connect(url) as connection:
            return connection.execute(statement.encode()).fetchall()
    with sqlite3.connect(f"file:{command.folder}/data/nova.db?mode=ro", uri=True) as database:
        rows = database.execute(statement).fetchall()
    database.close()
    return rows


def test_from_sqlite_to_postgresql(command: Command, postgres: PostgresServer) -> None:
    conversation = str(uuid4())
    with open_door(command.folder) as door:
        say(door, conversation, "My name is Ada.", "Hello Ada.")
    command.run("db", "backup", "mine.zip")
    moved = command.having(NOVA_DATABASE_URL=postgres.new_database("moved"))
    # There is nothing yet: the schema is made first.
    assert "rows are back" in moved.run("db", "restore", "--yes", "mine.zip").stdout
    with open_door(moved.folder, moved.environment) as door:
        shown = say(door, conversation, "Who am I?", "Ada.")
    assert shown == ["My name is Ada.", "Hello Ada.", "Who am I?"]


def test_before_there_is_data(stored: Command) -> None:
    found = show(stored, "info")
    assert (found["schema"], found["tables"], found["backup_files"]) == (None, {}, [])
    assert "no data yet" in stored.run("db", "info").stdout
    assert "no data yet" in stored.run("db", "backup", code=2).stderr
    assert list(stored.folder.rglob("*.zip")) == []
    assert not (stored.folder / "data" / "nova.db").exists()


def test_upgrade_makes_the_data_and_then_finds_it_up_to_date(stored: Command) -> None:
    done = show(stored, "upgrade")
    assert (done["before"], done["backup"]) == (None, None)
    assert "up to date" in stored.run("db", "upgrade").stdout
    said = stored.run("db", "info").stdout
    assert f"schema      {done['after']}, up to date" in said
    assert "secret" not in said


def test_upgrade_needs_the_data_for_itself_where_it_is_sqlite(command: Command) -> None:
    with open_door(command.folder):
        assert "Another server works" in command.run("db", "upgrade", code=2).stderr
        assert show(command, "info")["server_is_running"] is True
    assert show(command, "info")["server_is_running"] is False
    assert "up to date" in command.run("db", "upgrade").stdout


def test_upgrade_beside_a_server_on_postgresql(command: Command, postgres: PostgresServer) -> None:
    shared = command.having(NOVA_DATABASE_URL=postgres.new_database("shared"))
    with open_door(shared.folder, shared.environment):
        assert "up to date" in shared.run("db", "upgrade").stdout


def test_a_newer_schema_is_left_alone(stored: Command) -> None:
    stored.run("db", "upgrade")
    stored.run("db", "backup", "mine.zip")
    _write(stored, "UPDATE alembic_version SET version_num = '9999'")
    for arguments in (["upgrade"], ["backup"], ["restore", "--yes", "mine.zip"]):
        said = stored.run("db", *arguments, code=2).stderr
        assert "schema 9999" in said, arguments
    assert "newer" in stored.run("db", "info").stdout
    done = stored.run("serve", "--port", "0", code=2)
    assert "written by a newer version of NovaSystem (schema 9999" in done.stderr
    assert "Traceback" not in done.stderr
    assert _rows(stored, "SELECT version_num FROM alembic_version") == [("9999",)]


def _write(command: Command, statement: str) -> None:
    if url := command.environment.get("NOVA_DATABASE_URL"):
        import psycopg

        with psycopg.connect(url) as connection:
            connection.execute(statement.encode())
        return
    with sqlite3.connect(command.folder / "data" / "nova.db") as database:
        database.execute(statement)
    database.close()


def test_a_restore_asks_first(command: Command) -> None:
    command.run("db", "upgrade")
    command.run("db", "backup", "mine.zip")
    assert "--yes" in command.run("db", "restore", "mine.zip", code=2).stderr
    for typed, code, says in (("n\n", 1, "Aborted"), ("y\n", 0, "rows are back")):
        with command.terminal("db", "restore", "mine.zip") as terminal:
            terminal.shows("It replaces everything at ")
            terminal.shows("Go on?")
            terminal.type(typed)
            terminal.shows(says)
            assert terminal.exit_code() == code


def test_a_file_that_is_no_backup_changes_nothing(command: Command) -> None:
    command.run("db", "upgrade")
    (command.folder / "bad.zip").write_text("hello")
    said = command.run("db", "restore", "--yes", "bad.zip", code=2).stderr
    assert "'bad.zip' is not a whole backup" in said
    assert (
        "cannot be read: No such file"
        in command.run("db", "restore", "--yes", "none.zip", code=2).stderr
    )
    assert list((command.folder / "data").glob("backups/*")) == []


def test_where_a_backup_goes(command: Command) -> None:
    command.run("db", "upgrade")
    own = Path(show(command, "backup")["file"])
    assert own.parent == command.folder / "data" / "backups"
    assert own.name.startswith("nova-")
    (command.folder / "here").mkdir()
    assert Path(show(command, "backup", "here")["file"]).parent.name == "here"
    command.run("db", "backup", "one.zip")
    assert "--overwrite" in command.run("db", "backup", "one.zip", code=2).stderr
    command.run("db", "backup", "--overwrite", "one.zip")
    assert "No such file" in command.run("db", "backup", "nowhere/one.zip", code=2).stderr


def test_a_password_is_not_shown(command: Command) -> None:
    closed = command.having(NOVA_DATABASE_URL="postgresql://nova:secret@127.0.0.1:9/nova")
    said = closed.run("db", "info", code=1)
    assert "secret" not in said.stderr + said.stdout
    assert "cannot be used now" in said.stderr
    assert "***" in said.stderr


def test_a_config_file_says_where_the_data_is(command: Command) -> None:
    (command.folder / "other.toml").write_text(f'database_url = "sqlite:///{command.folder}/o.db"')
    command.run("db", "upgrade", "--config", "other.toml")
    assert (command.folder / "o.db").exists()
    assert show(command, "info", "--config", "other.toml")["schema"] is not None
    assert show(command, "info")["schema"] is None


def test_a_large_restore_shows_how_far_it_is(command: Command) -> None:
    command.run("db", "upgrade")
    command.run("db", "backup", "mine.zip")
    with command.terminal("db", "restore", "--yes", "mine.zip") as terminal:
        terminal.shows("Restoring")
        assert terminal.exit_code() == 0


def test_json_has_the_documented_fields(command: Command) -> None:
    command.run("db", "upgrade")
    asked = {"info": [], "upgrade": [], "backup": ["one.zip"], "restore": ["--yes", "one.zip"]}
    for name, arguments in asked.items():
        found = show(command, name, *arguments)
        documented = command.run("db", name, "--help").stdout
        assert [field for field in found if field not in documented] == [], name


def test_a_server_that_starts_while_info_looks_is_not_refused(command: Command) -> None:
    """To look whether a server is there, its lock is taken for a moment."""
    command.run("db", "upgrade")
    environment = {"NOVA_EMBEDDED": "off"}
    with command.start("db", "info"):
        started = time.monotonic()
        with nova_server(command.folder, environment) as server:
            assert ask(server.port, "GET", "/health").status == 200
            assert time.monotonic() - started < 60
