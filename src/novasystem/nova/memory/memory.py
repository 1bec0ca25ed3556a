"""What an owner's older messages say about a question."""

from collections.abc import Collection

from novasystem.engines.registry import Registry
from novasystem.nova.memory.records import Recalled, Remembered
from novasystem.storage.database import Database

__all__ = ["Memory"]


class Memory:
    """Finds what was said before, whether or not a model is still shown it."""

    def __init__(
        self, database: Database, registry: Registry, embedding_model: str | None = None
    ) -> None:
        self._database = database
        self._registry = registry
        self._embedding_model = embedding_model

    async def recall(
        self,
        owner_id: str,
        query: str,
        *,
        besides: Collection[int] = (),
        thread_key: int | None = None,
        limit: int = 5,
    ) -> list[Recalled]:
        """At most ``limit`` messages that have to do with ``query``, the nearest first.

        ``besides``: keys of items that are known already. ``thread_key``: look in that thread
        alone.
        """
        return []

    async def listed(
        self, owner_id: str, *, limit: int = 20, after: str | None = None
    ) -> list[Remembered]:
        """What can be recalled, newest first; ``after``: the id of the last one of the page
        before."""
        return []

    async def erase(self, owner_id: str, item_id: str) -> None:
        """Never recall that message again. Raises ``NotFound`` where the owner has none such."""

    async def erase_all(self, owner_id: str) -> int:
        """Never recall anything again that was said until now; how many messages that were."""
        return 0
