"""An older schema is brought up to date with a backup before; a newer one is left alone."""

import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from novasystem.benchmarks.stores.bitmaps import unpack_bits
from novasystem.errors import ConfigurationError, NovaError
from novasystem.keeping import Store
from novasystem.settings import Settings
from novasystem.storage.database import Database, database_url
from novasystem.storage.migrate import upgrade
from novasystem.storage.portable import BackupFile
from novasystem.storage.restore import check, restore
from novasystem.storage.schema import SCHEMA, Schema, current_revision
from novasystem.storage.tables import benchmark_terms, metadata
from tests.servers.nova import nova_server
from tests.servers.postgres import PostgresServer
from tests.storage.filled import KINDS, contents, fill, opened, written

OLD = SCHEMA.head
NEXT = f"{int(OLD) + 1:04}"
# On SQLite a column of 'threads' is changed by making the table anew, which everything refers to.
STEP = f'''
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{OLD}"


def upgrade() -> None:
    op.create_table("notes", sa.Column("key", sa.Integer(), primary_key=True))
    with op.batch_alter_table("threads", recreate="auto") as batch:
        batch.add_column(sa.Column("title", sa.Text(), nullable=False, server_default="none"))
        batch.alter_column("owner_id", type_=sa.String(100))
'''
FAILS = f"{STEP}    op.execute('SELECT 1 FROM no_such_table')\n"


def next_schema(folder: Path, step: str = STEP) -> Schema:
    """The one after ours: all its revisions, in a folder whose name is not simple."""
    versions = folder / "50% of versions"
    shutil.copytree(SCHEMA.versions, versions, ignore=shutil.ignore_patterns("__pycache__"))
    (versions / f"{NEXT}_next.py").write_text(step)
    newer = sa.MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        table.to_metadata(newer)
    newer.tables["threads"].append_column(
        sa.Column("title", sa.Text, nullable=False, server_default="none")
    )
    sa.Table("notes", newer, sa.Column("key", sa.Integer, primary_key=True))
    return Schema(versions, newer)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return postgres.new_database("upgrade")


@pytest.fixture
def database(url: str | None, tmp_path: Path) -> Iterator[Database]:
    with opened(url, tmp_path / "data") as made:
        made.write_now(fill)
        yield made


def test_the_migrations_lead_to_the_same_schema_as_the_tables(
    url: str | None, tmp_path: Path
) -> None:
    """Both ways: what one has and the other lacks, in either."""
    reflected = []
    with opened(url, tmp_path / "created") as created:
        created.read_now(_same_as, metadata)
        reflected.append(created.read_now(_described))
        if not created.is_sqlite:
            created.write_now(_emptied)
    with opened(url, tmp_path / "migrated", empty=True) as migrated:
        migrated.rebuild_now(SCHEMA.migrate, "head")
        migrated.read_now(_same_as, metadata)
        reflected.append(migrated.read_now(_described))
    assert reflected[0] == reflected[1]
    assert len(reflected[0]) == len(metadata.tables)


def _same_as(connection: sa.Connection, expected: sa.MetaData) -> None:
    def ours(name: str | None, kind: str, _parents: object) -> bool:
        # The words of messages are no table of the metadata's; _described looks at them.
        return not (name or "").startswith(("item_words", "ix_items_words"))

    options = {"compare_type": True, "compare_server_default": True, "include_name": ours}
    assert compare_metadata(MigrationContext.configure(connection, opts=options), expected) == []


def _emptied(connection: sa.Connection) -> None:
    metadata.drop_all(connection)
    connection.execute(sa.text("DROP TABLE alembic_version"))


def _described(connection: sa.Connection) -> dict[str, Any]:
    """Everything that the database says about each table."""
    inspector = sa.inspect(connection)
    found: dict[str, Any] = {}
    for name in inspector.get_table_names():
        if name == "alembic_version" or name.startswith("item_words"):
            continue
        found[name] = {
            "columns": [{**column, "type": str(column["type"])} for column in
                        inspector.get_columns(name)],
            "primary": inspector.get_pk_constraint(name),
            "foreign": sorted(inspector.get_foreign_keys(name), key=str),
            "unique": sorted(inspector.get_unique_constraints(name), key=str),
            "indexes": sorted(inspector.get_indexes(name), key=str),
        }  # fmt: skip
        if connection.dialect.name == "sqlite":
            made = connection.exec_driver_sql(
                "SELECT sql FROM sqlite_master WHERE name = ?", (name,)
            ).scalar_one()
            found[name]["autoincrement"] = "AUTOINCREMENT" in made
    found["items"]["words"] = connection.exec_driver_sql(_WORDS[connection.dialect.name]).all()
    assert found["items"]["words"]
    return found


_WORDS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE name LIKE 'item%_words%' ORDER BY name",
    "postgresql": "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_items_words'",
}


def test_what_is_kept_survives_an_upgrade_and_a_backup_lies_before_it(
    database: Database, tmp_path: Path
) -> None:
    before = database.read_now(contents)
    done = upgrade(database, tmp_path / "backups", schema=next_schema(tmp_path))
    assert (done.before, done.after) == (OLD, NEXT)
    assert database.read_now(current_revision) == NEXT
    # Everything that refers to the table that was made anew, too.
    assert database.read_now(contents) == before
    titles = database.read_now(lambda c: c.scalars(sa.text("SELECT title FROM threads")).all())
    assert titles == ["none"] * 3
    assert done.backup is not None
    assert stat.S_IMODE(done.backup.stat().st_mode) == 0o600
    with BackupFile(done.backup) as file:
        assert file.manifest.schema == OLD
        check(file)
        assert file.manifest.rows == sum(len(rows) for rows in before.values())


def test_benchmarks_of_an_older_schema_are_found_by_their_time(
    database: Database, tmp_path: Path
) -> None:
    def by_time(connection: sa.Connection) -> list[tuple[str, str, int, int]]:
        asked = sa.select(benchmark_terms).where(benchmark_terms.c.term.regexp_match("^t[0-9]:"))
        rows = connection.execute(asked.order_by("owner_id", "term"))
        return [(row.owner_id, row.term, row.chunk, unpack_bits(row.bits)) for row in rows]

    def set_back(connection: sa.Connection) -> None:
        for _, term, _, _ in by_time(connection):
            gone = sa.delete(benchmark_terms).where(benchmark_terms.c.term == term)
            connection.execute(gone)
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0003'"))

    before = database.read_now(by_time)
    assert len(before) >= 3
    database.write_now(set_back)
    upgrade(database, tmp_path / "backups")
    assert database.read_now(by_time) == before


def test_references_are_looked_after_again_after_an_upgrade(
    database: Database, tmp_path: Path
) -> None:
    upgrade(database, tmp_path / "backups", schema=next_schema(tmp_path))
    database.write_now(lambda c: c.execute(sa.text("DELETE FROM threads")))
    left = database.read_now(contents)
    assert (left["items"], left["runs"], left["run_events"]) == ([], [], [])


def test_an_upgrade_that_fails_changes_nothing_and_names_the_backup(
    database: Database, tmp_path: Path
) -> None:
    before, schema = database.read_now(contents), database.read_now(_described)
    with pytest.raises(NovaError) as caught:
        upgrade(database, tmp_path / "backups", schema=next_schema(tmp_path, FAILS))
    (backup,) = (tmp_path / "backups").iterdir()
    assert str(backup) in caught.value.hint
    assert f"from schema {OLD} to {NEXT}" in caught.value.message
    assert "no_such_table" in caught.value.message
    assert database.read_now(current_revision) == OLD
    assert database.read_now(contents) == before
    assert database.read_now(_described) == schema
    with BackupFile(backup) as file:
        check(file)


def test_an_upgrade_that_leaves_a_reference_to_nothing_fails(tmp_path: Path) -> None:
    step = f"{STEP}    op.execute('DELETE FROM threads')\n"
    with opened(None, tmp_path / "data") as database:
        database.write_now(fill)
        before = database.read_now(contents)
        with pytest.raises(ConfigurationError, match="refers to one of 'threads'"):
            upgrade(database, tmp_path / "backups", schema=next_schema(tmp_path, step))
        assert database.read_now(contents) == before


def test_nothing_is_upgraded_without_its_backup(database: Database, tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("in the way")
    with pytest.raises(NovaError, match="cannot be made"):
        upgrade(database, tmp_path / "backups", schema=next_schema(tmp_path))
    assert database.read_now(current_revision) == OLD


def test_the_newest_five_backups_are_kept_and_no_other_file_is_touched(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    schema = next_schema(tmp_path)
    folder.mkdir()
    (folder / "nova-2020-01-01T000000Z.zip").write_text("mine")
    (folder / "before-restore-2020.zip").write_text("another kind")
    made = []
    for _ in range(7):
        done = upgrade(database, folder, schema=schema)
        assert done.backup is not None
        made.append(done.backup)
        database.rebuild_now(_back_to_old)
    assert sorted(folder.glob("before-upgrade-*")) == made[-5:]
    assert len(list(folder.iterdir())) == 7


def _back_to_old(connection: sa.Connection) -> None:
    connection.execute(sa.text("DROP TABLE notes"))
    connection.execute(sa.text("ALTER TABLE threads DROP COLUMN title"))
    connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{OLD}'"))


def test_a_backup_of_an_older_schema_is_brought_up_to_date(
    database: Database, url: str | None, tmp_path: Path
) -> None:
    before = database.read_now(contents)
    written(database, tmp_path / "old.zip")
    schema = next_schema(tmp_path)
    upgrade(database, tmp_path / "backups", schema=schema)
    database.write_now(lambda c: c.execute(sa.text("UPDATE threads SET title = 'late'")))
    with BackupFile(tmp_path / "old.zip") as file:
        check(file, schema=schema)
        restore(database, file, tmp_path / "backups", schema=schema)
    after = database.read_now(contents)
    assert after["items"] == before["items"]
    assert after["run_events"] == before["run_events"]
    titles = database.read_now(lambda c: c.scalars(sa.text("SELECT title FROM threads")).all())
    assert titles == ["none"] * 3
    # What stood on the side for it is gone.
    assert [path.name for path in (tmp_path / "backups").glob(".*")] == []


def test_older_data_takes_no_backup_before_it_is_upgraded(
    database: Database, tmp_path: Path
) -> None:
    schema = next_schema(tmp_path)
    written(database, tmp_path / "old.zip")
    with (
        BackupFile(tmp_path / "old.zip") as file,
        pytest.raises(ConfigurationError, match="nova db upgrade"),
    ):
        restore(database, file, tmp_path / "backups", schema=schema)


async def test_a_server_upgrades_when_it_starts(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with opened(None, tmp_path / "data") as database:
        database.write_now(fill)
    store = Store(settings, schema=next_schema(tmp_path))
    await store.open()
    try:
        assert store.database.read_now(current_revision) == NEXT
    finally:
        await store.aclose()
    assert len(list((tmp_path / "data" / "backups").glob("before-upgrade-*.zip"))) == 1
    failing = tmp_path / "failing"
    failing.mkdir()
    refused = Store(settings)
    with pytest.raises(ConfigurationError, match="newer version"):
        await refused.open()
    # Its lock is free again: the version that fits can start.
    again = Store(settings, schema=next_schema(failing))
    await again.open()
    await again.aclose()


def test_two_servers_that_start_at_once_on_an_empty_database_both_come_up(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    settings = {
        "NOVA_DATABASE_URL": postgres.new_database("at_once"),
        "NOVA_EMBEDDED": "off",
    }
    folders = [tmp_path / name for name in "abc"]
    with ExitStack() as stack, ThreadPoolExecutor(3) as starting:
        for folder in folders:
            folder.mkdir()
        servers = list(
            starting.map(lambda folder: stack.enter_context(nova_server(folder, settings)), folders)
        )
        new = [server.logged("the data is open")["new"] for server in servers]
    assert sorted(new) == [False, False, True]


def test_upgrades_at_once_make_one_schema(postgres: PostgresServer, tmp_path: Path) -> None:
    """The same without the time that a process takes to start: they really meet."""
    for number in range(3):
        address = postgres.new_database(f"meet{number}")
        databases = [Database(database_url(address, tmp_path)) for _ in range(6)]
        with ThreadPoolExecutor(6) as threads:
            done = list(threads.map(lambda d: upgrade(d, tmp_path / "backups"), databases))
        assert [one.before for one in done].count(None) == 1
        for database in databases:
            database.close()


def test_tables_of_another_program_are_not_taken_for_ours(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    address = postgres.new_database("taken")
    postgres.execute("CREATE TABLE threads (id int)", "taken")
    with opened(address, tmp_path, empty=True) as database:
        with pytest.raises(ConfigurationError, match=re.escape("another program: threads")):
            upgrade(database, tmp_path / "backups")
        assert database.read_now(lambda c: sa.inspect(c).get_table_names()) == ["threads"]


def test_the_package_contains_its_migrations() -> None:
    assert SCHEMA.revisions[0] == "0001"
    assert len(SCHEMA.revisions) == len(list(SCHEMA.versions.glob("0*.py")))


def test_a_manifest_says_what_it_is(tmp_path: Path) -> None:
    with opened(None, tmp_path / "data") as database:
        written(database, tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist()[-1] == "manifest.json"
