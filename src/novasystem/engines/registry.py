"""From a model's name to the engine that answers: catalogue, aliases, queues, load, health."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog

from novasystem.engines.events import Event
from novasystem.engines.gate import Gate
from novasystem.engines.protocol import Capabilities, Engine, Health, Model
from novasystem.engines.requests import Embeddings, EmbedRequest, GenerateRequest
from novasystem.errors import (
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    NovaError,
)

__all__ = ["Pool", "Registry", "Resolved"]

_FRESH_S = 2.0
_DOWN_S = 5.0

Asked = TypeVar("Asked", GenerateRequest, EmbedRequest)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Place:
    """One address of an engine and what is known of it; ``with place`` is one use of it."""

    engine: Engine
    in_flight: int = 0
    down_until: float = 0.0
    models: dict[str, Model] = field(default_factory=dict)

    def __enter__(self) -> Engine:
        self.in_flight += 1
        return self.engine

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self.in_flight -= 1
        if isinstance(error, EngineUnavailable) or (
            isinstance(error, EngineTimeout) and error.limit == "connect"
        ):
            self.down_until = time.monotonic() + _DOWN_S


class Pool:
    """One engine of the settings: one or more addresses that are copies of each other.

    ``expected``: whether its absence is worth a word; an Ollama that was merely looked for at its
    usual address is not.
    """

    def __init__(
        self,
        name: str,
        engines: Sequence[Engine],
        *,
        max_concurrent: int = 256,
        max_queued: int = 1024,
        expected: bool = True,
    ) -> None:
        self.name = name
        self.expected = expected
        self.gate = Gate(name, max_concurrent, max_queued)
        self.problem: EngineError | None = None
        self.places = [_Place(engine) for engine in engines]
        self.models: dict[str, Model] = {}
        """As last seen, over all addresses."""

    @property
    def engines(self) -> list[Engine]:
        return [place.engine for place in self.places]

    async def refresh(self) -> None:
        """Ask every address for its models; one that does not answer has none for the moment."""
        found = await asyncio.gather(*(self._refresh(place) for place in self.places))
        self.models = {n: model for place in self.places for n, model in place.models.items()}
        problems = [problem for problem in found if problem is not None]
        self.problem = problems[0] if problems and not self.models else None

    async def _refresh(self, place: _Place) -> EngineError | None:
        try:
            models = await place.engine.models()
        except EngineError as error:
            if self.expected and self.problem is None:
                await _log.awarning("an engine does not answer", engine=self.name, error=str(error))
            place.models = {}
            return error
        place.models = {model.name: model for model in models}
        place.down_until = 0.0
        return None

    def place(self, model: str, tried: Sequence[Engine] = ()) -> _Place:
        """The least loaded address that has the model and was not found down a moment ago."""
        if len(self.places) == 1:
            return self.places[0]
        now = time.monotonic()
        places = [p for p in self.places if p.engine not in tried]
        having = [p for p in places if model in p.models] or places
        return min(having, key=lambda p: (p.down_until > now, p.in_flight))


@dataclass(frozen=True, slots=True)
class Resolved:
    """``model`` as its engine calls it."""

    pool: Pool
    model: str


class Registry:
    """All engines of the settings.

    ``reserved``: names that always mean one engine's model, whatever others offer under the same
    name: so a default never changes silently.
    """

    def __init__(
        self,
        pools: Sequence[Pool],
        *,
        aliases: Mapping[str, str] | None = None,
        default_model: str = "nova-tiny",
        reserved: Mapping[str, str] | None = None,
    ) -> None:
        self.pools = {pool.name: pool for pool in pools}
        self.aliases = dict(aliases or {})
        self.default_model = default_model
        self._reserved = dict(reserved or {})
        self._refreshed_at = float("-inf")
        self._lock = asyncio.Lock()

    async def refresh(self, max_age_s: float = _FRESH_S) -> None:
        """Look at every engine, unless that was done within ``max_age_s``."""
        if time.monotonic() - self._refreshed_at <= max_age_s:
            return
        async with self._lock:
            if time.monotonic() - self._refreshed_at <= max_age_s:
                return
            await asyncio.gather(*(pool.refresh() for pool in self.pools.values()))
            self._refreshed_at = time.monotonic()

    async def models(self) -> dict[str, Model]:
        """Every model that answers now, under the name by which it is asked for."""
        await self.refresh()
        return self._names()

    def _names(self) -> dict[str, Model]:
        holders: dict[str, list[str]] = {}
        for pool in self.pools.values():
            for name in pool.models:
                holders.setdefault(name, []).append(pool.name)
        names: dict[str, Model] = {}
        for pool in self.pools.values():
            for name, model in pool.models.items():
                plain = self._reserved.get(name, holders[name][0]) == pool.name
                alone = len(holders[name]) == 1 and plain
                own = plain and name in self._reserved
                names[name if alone or own else f"{pool.name}/{name}"] = model
        return names

    async def resolve(self, name: str | None) -> Resolved:
        """The engine and its own name for a model; ``None`` means the default.

        Raises ``ModelNotFound``, or ``InvalidRequest`` where two engines have that name.
        """
        asked = name or self.default_model
        target = self.aliases.get(asked, asked)
        found = self._find(target)
        if found is None:
            await self.refresh()
            found = self._find(target)
        if found is not None:
            return found
        raise self._not_found(asked, target)

    def _find(self, name: str) -> Resolved | None:
        reserved = self._reserved.get(name)
        if reserved is not None:
            pool = self.pools.get(reserved)
            return Resolved(pool, name) if pool is not None else None
        holders = [
            Resolved(pool, known)
            for pool in self.pools.values()
            for known in (name, name.removesuffix(":latest"))
            if known in pool.models
        ]
        unique = {found.pool.name: found for found in reversed(holders)}
        if len(unique) == 1:
            return next(iter(unique.values()))
        if len(unique) > 1:
            choices = ", ".join(f"{pool}/{found.model}" for pool, found in unique.items())
            msg = f"Several engines have a model named '{name}'."
            raise InvalidRequest(msg, hint=f"Ask for one of: {choices}.", param="model")
        prefix, slash, rest = name.partition("/")
        if slash and prefix in self.pools:
            pool = self.pools[prefix]
            for known in (rest, rest.removesuffix(":latest")):
                if known in pool.models or self._reserved.get(known) == prefix:
                    return Resolved(pool, known)
        return None

    def _not_found(self, asked: str, target: str) -> Exception:
        prefix = target.partition("/")[0]
        concerned = self.pools.get(prefix)
        if concerned is not None and concerned.problem is not None:
            return concerned.problem
        down = [
            pool.problem.message
            for pool in self.pools.values()
            if pool.problem is not None and pool.expected
        ]
        known = sorted(self._names())
        if not known:
            # Nothing answers at all: what is wrong is not the name.
            for pool in self.pools.values():
                if pool.problem is not None and pool.expected:
                    return pool.problem
        error = ModelNotFound(asked, known)
        said = [error.hint, *down]
        if asked != target:
            said.insert(0, f"'{asked}' is an alias of '{target}'.")
        if asked == self.default_model and asked in self._reserved:
            said.append("It is the default model, and the embedded engine is switched off.")
        error.hint = " ".join(said)
        return error

    async def capabilities(self, name: str | None) -> Capabilities:
        resolved = await self.resolve(name)
        with resolved.pool.place(resolved.model) as engine:
            return await engine.capabilities(resolved.model)

    async def context_tokens(self, name: str | None) -> int | None:
        """The window of one conversation with that model; ``None`` where its engine is silent."""
        resolved = await self.resolve(name)
        model = resolved.pool.models.get(resolved.model)
        if model is None:
            await resolved.pool.refresh()
            model = resolved.pool.models.get(resolved.model)
        return None if model is None else model.context_tokens

    async def count_tokens(self, name: str | None, text: str) -> int | None:
        """Tokens of ``text`` as that model's engine counts them; ``None`` where it does not."""
        try:
            resolved = await self.resolve(name)
        except NovaError:
            return None
        with resolved.pool.place(resolved.model) as engine:
            return await engine.count_tokens(resolved.model, text)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        """The answer of the engine that ``request.model`` names, once it has a place for it.

        Where an address cannot be reached at all, the next one is asked: nothing was sent yet.
        """
        pool, asked = await self._addressed(request)
        await pool.gate.enter(request.limits.first_token_s)
        try:
            tried: list[Engine] = []
            while True:
                begun = False
                try:
                    with pool.place(asked.model, tried) as engine:
                        tried.append(engine)
                        async with aclosing(engine.generate(asked)) as events:
                            async for event in events:
                                begun = True
                                yield event
                    return
                except (EngineUnavailable, EngineTimeout) as error:
                    if begun or not _unreached(error) or len(tried) == len(pool.places):
                        raise
        finally:
            pool.gate.leave()

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """As :meth:`generate`: the same queue, and the next address where one is not reached."""
        pool, asked = await self._addressed(request)
        await pool.gate.enter(request.limits.first_token_s)
        try:
            tried: list[Engine] = []
            while True:
                try:
                    with pool.place(asked.model, tried) as engine:
                        tried.append(engine)
                        return await engine.embed(asked)
                except (EngineUnavailable, EngineTimeout) as error:
                    if not _unreached(error) or len(tried) == len(pool.places):
                        raise
        finally:
            pool.gate.leave()

    async def _addressed(self, request: Asked) -> tuple[Pool, Asked]:
        """The engine, and the request with the model as that engine calls it."""
        resolved = await self.resolve(request.model)
        if request.model == resolved.model:
            return resolved.pool, request
        return resolved.pool, replace(request, model=resolved.model)

    async def load(self, name: str | None) -> None:
        resolved = await self.resolve(name)
        await asyncio.gather(*(engine.load(resolved.model) for engine in resolved.pool.engines))

    async def unload(self, name: str | None) -> None:
        resolved = await self.resolve(name)
        await asyncio.gather(*(engine.unload(resolved.model) for engine in resolved.pool.engines))

    async def health(self) -> dict[str, Health]:
        """Each address's health, by engine name, numbered where an engine has several."""
        asked = [
            (pool.name if len(pool.places) == 1 else f"{pool.name}[{number}]", engine)
            for pool in self.pools.values()
            for number, engine in enumerate(pool.engines)
        ]
        answers = await asyncio.gather(*(engine.health() for _, engine in asked))
        return {name: health for (name, _), health in zip(asked, answers, strict=True)}

    async def aclose(self) -> None:
        closing = (engine.aclose() for pool in self.pools.values() for engine in pool.engines)
        for failed in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(failed, BaseException):
                await _log.aerror("an engine did not close", exc_info=failed)


def _unreached(error: EngineUnavailable | EngineTimeout) -> bool:
    return error.limit == "connect" if isinstance(error, EngineTimeout) else not error.reached
