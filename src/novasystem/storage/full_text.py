"""Full text of messages: what SQLite and PostgreSQL need beside the tables to find words in them.

The database itself keeps it right: whatever writes a message, a restored backup included, need not
know of it. Only messages of runs are looked at, so those of chat and Nova; an application keeps the
threads of many people under one key of the assistants' door, and they are nobody's memory.

A message's content is JSON text. Of long ones the first 100,000 characters are found.
"""

import sqlalchemy as sa
from sqlalchemy import DDL, event

__all__ = ["WORDS", "postgres_words", "searchable"]

WORDS = "item_words"
_OURS = "{row}.kind = 'message' AND {row}.run_id IS NOT NULL AND {row}.assistant_id IS NULL"
_TEXT = "substr(json_extract({row}.content, '$'), 1, 100000)"


def _add(row: str) -> str:
    return f"INSERT INTO {WORDS}(rowid, text) VALUES ({row}.key, {_TEXT.format(row=row)});"


def _remove(row: str) -> str:
    # A table without contents is told what it had indexed.
    return (
        f"INSERT INTO {WORDS}({WORDS}, rowid, text) "
        f"VALUES ('delete', {row}.key, {_TEXT.format(row=row)});"
    )


_SQLITE = (
    f"CREATE VIRTUAL TABLE {WORDS} USING fts5(text, content='', "
    "tokenize='unicode61 remove_diacritics 2')",
    f"CREATE TRIGGER items_words_added AFTER INSERT ON items "
    f"WHEN {_OURS.format(row='new')} BEGIN {_add('new')} END",
    f"CREATE TRIGGER items_words_changed AFTER UPDATE OF content ON items "
    f"WHEN {_OURS.format(row='new')} BEGIN {_remove('old')} {_add('new')} END",
    f"CREATE TRIGGER items_words_removed AFTER DELETE ON items "
    f"WHEN {_OURS.format(row='old')} BEGIN {_remove('old')} END",
)

# What makes PostgreSQL's parser take several words for one: an address, a file's name, a tag.
_GLUE = "./:@-+<&_~"


def postgres_words(content: str) -> str:
    """The indexed expression for a column: a query uses the index only where it says the same.

    Escapes of JSON part words.
    """
    plain = rf"regexp_replace(left({content}, 100000), '\\(u[0-9a-f]{{4}}|.)', ' ', 'g')"
    apart = f"translate({plain}, '{_GLUE}', '{' ' * len(_GLUE)}')"
    return f"to_tsvector('simple'::regconfig, {apart})"


_POSTGRES = (
    f"CREATE INDEX ix_items_words ON items USING gin ({postgres_words('content')}) "
    "WHERE kind = 'message' AND run_id IS NOT NULL AND assistant_id IS NULL",
)


def searchable(items: sa.Table) -> None:
    """Make it together with the table ``items``, and with its copies."""
    for dialect, statements in (("sqlite", _SQLITE), ("postgresql", _POSTGRES)):
        for statement in statements:
            made: sa.ExecutableDDLElement = DDL(statement)  # type: ignore[no-untyped-call]
            event.listen(items, "after_create", made.execute_if(dialect=dialect))
