"""Sessions in the database, on each kind of it."""

from sqlalchemy.engine import Connection

from novasystem.nova import store
from novasystem.runs import store as run_store
from novasystem.runs.records import NewRun
from novasystem.storage.database import Database
from novasystem.threads import store as thread_store
from novasystem.threads.records import NewItem
from tests.storage.databases import address, database, on_postgres, postgres_address

__all__ = ["address", "database", "on_postgres", "postgres_address"]


def session(connection: Connection, name: str, *, owner: str = "me", kind: str = "nova") -> int:
    thread = thread_store.create(connection, name, owner)
    run = NewRun(kind, owner, {}, thread_key=thread.key, thread_id=name)
    run_store.insert(connection, run, None, last_seq=0)
    said = [NewItem("message", text, role="user") for text in (f"What is {name}?", "And then?")]
    thread_store.add(connection, thread.key, said)
    return thread.key


def test_sessions_are_the_threads_on_which_something_was_asked(database: Database) -> None:
    def work(connection: Connection) -> tuple[list[list[str]], dict[int, str]]:
        keys = [session(connection, name) for name in ("a", "b", "c")]
        session(connection, "chat", kind="chat")
        session(connection, "theirs", owner="you")
        thread_store.create(connection, "empty", "me")
        pages = [
            store.list_sessions(connection, "me", "nova", limit=2, after=after)
            for after in (None, "b", "a")
        ]
        return [[t.id for t in page] for page in pages], store.first_questions(connection, keys)

    pages, titles = database.write_now(work)
    assert pages == [["c", "b"], ["a"], []]
    assert list(titles.values()) == ["What is a?", "What is b?", "What is c?"]
