"""Memory: the words of messages, what they mean to a model, and those that are not recalled."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_OURS = "{row}.kind = 'message' AND {row}.run_id IS NOT NULL AND {row}.assistant_id IS NULL"
_TEXT = "substr(json_extract({row}.content, '$'), 1, 100000)"
_ADD = f"INSERT INTO item_words(rowid, text) VALUES ({{row}}.key, {_TEXT});"
_REMOVE = (
    "INSERT INTO item_words(item_words, rowid, text) "
    f"VALUES ('delete', {{row}}.key, {_TEXT});"
)  # fmt: skip
_SQLITE = (
    "CREATE VIRTUAL TABLE item_words USING fts5(text, content='', "
    "tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER items_words_added AFTER INSERT ON items "
    f"WHEN {_OURS.format(row='new')} BEGIN {_ADD.format(row='new')} END",
    "CREATE TRIGGER items_words_changed AFTER UPDATE OF content ON items "
    f"WHEN {_OURS.format(row='new')} BEGIN {_REMOVE.format(row='old')} "
    f"{_ADD.format(row='new')} END",
    "CREATE TRIGGER items_words_removed AFTER DELETE ON items "
    f"WHEN {_OURS.format(row='old')} BEGIN {_REMOVE.format(row='old')} END",
    f"INSERT INTO item_words(rowid, text) SELECT items.key, {_TEXT.format(row='items')} "
    f"FROM items WHERE {_OURS.format(row='items')}",
)
_POSTGRES = (
    "CREATE INDEX ix_items_words ON items USING gin (to_tsvector('simple'::regconfig, "
    r"translate(regexp_replace(left(content, 100000), '\\(u[0-9a-f]{4}|.)', ' ', 'g'), "
    "'./:@-+<&_~', '          '))) "
    "WHERE kind = 'message' AND run_id IS NOT NULL AND assistant_id IS NULL",
)


def _item_key(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    return (
        sa.Column("item_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["item_key"], ["items.key"], name=op.f(f"fk_{table}_item_key"), ondelete="CASCADE"
        ),
    )


def upgrade() -> None:
    op.create_table(
        "memory_erased",
        *_item_key("memory_erased"),
        sa.PrimaryKeyConstraint("item_key", name=op.f("pk_memory_erased")),
    )
    op.create_table(
        "memory_vectors",
        *_item_key("memory_vectors"),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("item_key", "model", name=op.f("pk_memory_vectors")),
    )
    postgres = op.get_bind().dialect.name == "postgresql"
    for statement in _POSTGRES if postgres else _SQLITE:
        # As it is: a colon in it names no parameter.
        op.get_bind().exec_driver_sql(statement)
