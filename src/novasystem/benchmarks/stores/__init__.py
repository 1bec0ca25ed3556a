"""Where benchmarks are kept: one small interface, and every store behind it in one dictionary."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from novasystem.benchmarks.stores.fallback import FallbackStore
from novasystem.benchmarks.stores.files import FileStore
from novasystem.benchmarks.stores.mongo import MongoStore
from novasystem.benchmarks.stores.protocol import BenchmarkStore
from novasystem.benchmarks.stores.query import Page, Query
from novasystem.benchmarks.stores.sql import SqlStore
from novasystem.errors import ConfigurationError
from novasystem.storage.database import Database

__all__ = [
    "STORES",
    "BenchmarkStore",
    "FallbackStore",
    "Page",
    "Places",
    "Query",
    "StoreKind",
    "find_store",
]

StoreKind = Literal["sql", "files", "mongo"]


@dataclass(frozen=True, slots=True)
class Places:
    """What the stores keep their benchmarks in."""

    database: Database
    folder: Path
    mongo_url: str | None = None

    @property
    def aside(self) -> Path:
        """Where those wait that a store of its own did not take."""
        return self.folder.with_name("waiting")

    @property
    def logs(self) -> Path:
        """Where what is carried out on this machine has its logs."""
        return self.folder.with_name("logs")


def _mongo(places: Places) -> BenchmarkStore:
    if places.mongo_url is None:
        raise ConfigurationError(
            "Benchmarks are to be kept in MongoDB, and nothing says where that is.",
            hint="Set NOVA_MONGO_URL=mongodb://HOST:27017/DATABASE.",
        )
    return FallbackStore(MongoStore(places.mongo_url), places.aside, logs=places.logs)


STORES: dict[StoreKind, Callable[[Places], BenchmarkStore]] = {
    "sql": lambda places: SqlStore(places.database),
    "files": lambda places: FallbackStore(FileStore(places.folder), places.aside, logs=places.logs),
    "mongo": _mongo,
}


def find_store(kind: StoreKind, places: Places) -> BenchmarkStore:
    """The store; nothing is opened or made yet. Raises ``ConfigurationError``."""
    return STORES[kind](places)
