"""What every store of benchmarks can do."""

from collections.abc import Sequence
from typing import Protocol

from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.stores.query import Page, Query

__all__ = ["BenchmarkStore"]


class BenchmarkStore(Protocol):
    """Keeps benchmarks and their samples; another owner's are not there.

    Every method raises ``StorageUnavailable`` while the store cannot be reached or written, and
    ``StorageFull`` where it can take no more. What :meth:`get` and :meth:`samples` give is equal
    to what was put. A record that cannot be read any more is left out, with a warning in the log.
    """

    @property
    def where(self) -> str:
        """The place, to be shown: without any secret."""
        ...

    async def open(self) -> None:
        """Make what is missing: folders, indexes."""
        ...

    async def aclose(self) -> None: ...

    async def check(self) -> None:
        """Raises ``StorageUnavailable`` where the store does not answer."""
        ...

    async def put(self, benchmark: Benchmark) -> None:
        """Keep it, in the place of the one with the same id if there is one; samples stay.

        Raises ``InvalidRequest`` for an id that cannot be one.
        """
        ...

    async def get(self, owner_id: str, benchmark_id: str) -> Benchmark | None: ...

    async def list(self, query: Query) -> Page:
        """Raises ``InvalidRequest`` where ``query.after`` names no benchmark."""
        ...

    async def delete(self, owner_id: str, benchmark_id: str) -> bool:
        """Take it away with its samples; whether it was there."""
        ...

    async def add_samples(
        self, owner_id: str, benchmark_id: str, samples: Sequence[Sample]
    ) -> None:
        """Keep more samples; one with a number that is there already takes its place.

        They are kept in compact pieces of many requests. Raises ``NotFound`` where there is no
        such benchmark.
        """
        ...

    # The name of the method 'list' hides the type in what follows it.
    async def samples(self, owner_id: str, benchmark_id: str) -> Sequence[Sample]:
        """All that were added, by number; none where there is no such benchmark."""
        ...

    async def version(self, owner_id: str) -> str:
        """A word that is another one after each change of the owner's benchmarks, whoever made it:
        what was read under the same word is not stale. Samples do not change it."""
        ...
