"""What an owner's older messages say about a question."""

import asyncio
from collections.abc import Collection, Sequence

import structlog
from sqlalchemy.engine import Connection

from novasystem.engines.registry import Registry
from novasystem.engines.requests import EmbedRequest, TimeLimits
from novasystem.errors import EngineRejected, InvalidRequest, NotFound, NovaError
from novasystem.nova.memory import store
from novasystem.nova.memory.meaning import NEWEST, nearest, packed
from novasystem.nova.memory.records import FoundBy, Recalled, Remembered
from novasystem.nova.memory.words import words_of
from novasystem.storage.database import Database

__all__ = ["Memory"]

# Of each way to search, how many are joined; and the constant of reciprocal rank fusion, after
# Cormack, Clarke and Büttcher (2009).
_CANDIDATES = 50
_FUSION = 60
# A message is read by an embedding model as far as this, and so many of them a recall, in parts
# each of which is kept: a slow model gets further with every recall.
_READ_CHARS = 2_000
_READ_A_RECALL = 32
_READ_AT_ONCE = 4
_LIMITS = TimeLimits(connect_s=2, first_token_s=10, between_tokens_s=10, total_s=10)

_log = structlog.get_logger(__name__)


class Memory:
    """Finds what was said before, whether or not a model is still shown it.

    ``embedding_model``: finds messages by their meaning as well as by their words. A model that
    does not answer is done without.
    """

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
        alone. A message that only repeats the query is none.
        """
        asked = await self._vector(query)
        if asked:
            await self._read_more(owner_id)
        by_words, by_meaning, found = await self._database.read(
            self._find, owner_id, query, asked, besides, thread_key
        )
        same = _plain(query)
        scored: list[Recalled] = []
        for key, message in found.items():
            if not _plain(message.text) or _plain(message.text) == same:
                continue
            ranks = [ways.index(key) for ways in (by_words, by_meaning) if key in ways]
            score = sum(1 / (_FUSION + 1 + rank) for rank in ranks)
            way: FoundBy = "both" if len(ranks) == 2 else "words" if key in by_words else "meaning"
            scored.append(
                Recalled(
                    message.item_id,
                    message.thread_id,
                    message.role,
                    message.text,
                    message.created_at,
                    round(score, 6),
                    way,
                )
            )
        return sorted(scored, key=lambda one: (-one.score, -one.created_at))[:limit]

    def _find(
        self,
        connection: Connection,
        owner_id: str,
        query: str,
        asked: bytes,
        besides: Collection[int],
        thread_key: int | None,
    ) -> tuple[list[int], list[int], dict[int, Remembered]]:
        by_words = store.by_words(
            connection,
            owner_id,
            words_of(query),
            besides=besides,
            thread_key=thread_key,
            limit=_CANDIDATES,
        )
        by_meaning: list[int] = []
        if asked and self._embedding_model is not None:
            known = store.vectors(
                connection,
                owner_id,
                self._embedding_model,
                besides=besides,
                thread_key=thread_key,
                newest=NEWEST,
            )
            by_meaning = nearest(asked, known, _CANDIDATES)
        found = store.by_keys(connection, owner_id, list({*by_words, *by_meaning}))
        return by_words, by_meaning, found

    async def listed(
        self, owner_id: str, *, limit: int = 20, after: str | None = None
    ) -> list[Remembered]:
        """What can be recalled, newest turns first; ``after``: the id of the last message of the
        page before. Raises ``InvalidRequest`` where that is gone."""
        return await self._database.read(store.listed, owner_id, limit=limit, after=after)

    async def erase(self, owner_id: str, item_id: str) -> None:
        """Never recall that message again. Raises ``NotFound`` where the owner has none such.

        It stays in its session, where the next turns still see it, until that is deleted.
        """
        await self._database.write(self._erase, owner_id, item_id)

    def _erase(self, connection: Connection, owner_id: str, item_id: str) -> None:
        key = store.owned(connection, owner_id, item_id)
        if key is None:
            raise NotFound("memory", item_id, param="item_id")
        store.erase(connection, key)

    async def erase_all(self, owner_id: str) -> int:
        """Never recall anything again that was said until now; how many messages that were."""
        return await self._database.write(store.erase_all, owner_id)

    async def _vector(self, query: str) -> bytes:
        """What ``query`` means; empty where no model tells."""
        if self._embedding_model is None or not query.strip():
            return b""
        try:
            async with asyncio.timeout(_LIMITS.total_s):
                (vector,) = await self._embed([query])
        except (NovaError, TimeoutError) as error:
            await self._silent(error)
            return b""
        return vector

    async def _read_more(self, owner_id: str) -> None:
        """Let the model read some of the newest messages that it has not; others next time."""
        model = self._embedding_model
        assert model is not None
        unread = await self._database.read(
            store.without_vector, owner_id, model, newest=NEWEST, limit=_READ_A_RECALL
        )
        until = asyncio.get_running_loop().time() + (_LIMITS.total_s or 0)
        for start in range(0, len(unread), _READ_AT_ONCE):
            part = unread[start : start + _READ_AT_ONCE]
            try:
                async with asyncio.timeout_at(until):
                    found = await self._read([text for _, text in part])
            except (NovaError, TimeoutError) as error:
                if not start or isinstance(error, NovaError):
                    await self._silent(error)
                return
            read = [store.Vector(key, data) for (key, _), data in zip(part, found, strict=True)]
            await self._database.write(store.add_vectors, model, read)

    async def _read(self, texts: Sequence[str]) -> list[bytes]:
        try:
            return await self._embed(texts)
        except (EngineRejected, InvalidRequest):
            if len(texts) == 1:
                # One that the model cannot take, such as an empty one, is not tried again.
                return [b""]
        return [(await self._read([text]))[0] for text in texts]

    async def _embed(self, texts: Sequence[str]) -> list[bytes]:
        assert self._embedding_model is not None
        read = tuple(text[:_READ_CHARS] for text in texts)
        found = await self._registry.embed(EmbedRequest(self._embedding_model, read, None, _LIMITS))
        return [packed(vector) for vector in found.vectors]

    async def _silent(self, error: Exception) -> None:
        await _log.awarning(
            "memories are looked for by their words alone",
            model=self._embedding_model,
            error=str(error) or type(error).__name__,
        )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .!?")
