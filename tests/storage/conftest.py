"""Every test here runs on both databases, or on the one that it names."""

from tests.http.figures import state
from tests.storage.databases import address, database, on_postgres, postgres_address

__all__ = ["address", "database", "on_postgres", "postgres_address", "state"]
