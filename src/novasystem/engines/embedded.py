"""The embedded engine: llama.cpp in a supervised child, spoken to as any compatible server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from importlib import metadata, resources
from pathlib import Path

from novasystem.engines.events import Event
from novasystem.engines.gguf import quantization
from novasystem.engines.keeper import ChildAddress, ChildConfig, Keeper
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.protocol import Address, Capabilities, Health, Model
from novasystem.engines.requests import Embeddings, EmbedRequest, GenerateRequest, TimeLimits
from novasystem.engines.supervisor import Supervisor
from novasystem.errors import (
    ConfigurationError,
    EngineError,
    EngineProtocolError,
    EngineTimeout,
    EngineUnavailable,
    ModelNotFound,
    TimeLimit,
)

__all__ = ["NOVA_TINY", "EmbeddedEngine", "nova_tiny_path"]

NOVA_TINY = "nova-tiny"
NOVA_TINY_CONTEXT = 1024
_GGUF_MAGIC = b"GGUF"


def nova_tiny_path() -> Path:
    """The weights that come with the package."""
    return Path(str(resources.files("novasystem") / "weights" / "nova-tiny.gguf"))


def check_gguf(path: Path) -> None:
    """Raise ``ConfigurationError`` where ``path`` is not a GGUF file that can be read."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        msg = f"The model file '{path}' cannot be read: {error.strerror}."
        hint = "Check the path of the model file."
        if path == nova_tiny_path():
            hint = "It comes with NovaSystem: install it again."
        raise ConfigurationError(msg, hint=hint) from error
    if magic != _GGUF_MAGIC:
        msg = f"'{path}' is not a GGUF file."
        raise ConfigurationError(msg, hint="llama.cpp reads models in the GGUF format only.")


class EmbeddedEngine:
    """One model file, served by llama.cpp in a child process that starts on first use."""

    kind = "embedded"

    def __init__(self, name: str, config: ChildConfig, keeper: Keeper | None = None) -> None:
        """``keeper``: who keeps the child, where that is not ourselves."""
        check_gguf(config.model_path)
        self.name = name
        self.where = str(config.model_path)
        self._config = config
        self._keeper: Keeper = keeper or Supervisor(name, config)
        self._client: tuple[ChildAddress, OpenAIEngine] | None = None

    @property
    def keeper(self) -> Keeper:
        return self._keeper

    @property
    def config(self) -> ChildConfig:
        return self._config

    @property
    def child_pid(self) -> int | None:
        """Of the child, where it runs."""
        current = self._keeper.current
        return None if current is None else current.pid

    async def version(self) -> str | None:
        """Of the package that llama.cpp comes in; its own build number is a part of it."""
        try:
            return f"xllamacpp {metadata.version('xllamacpp')}"
        except metadata.PackageNotFoundError:
            return None

    async def models(self) -> list[Model]:
        """The one model; known without the child, of which only a running one tells more."""
        stat = self._config.model_path.stat()
        size, parameters = stat.st_size, None
        if self._keeper.running and self._client is not None:
            for model in await self._client[1].models():
                parameters = model.parameters
        return [
            Model(
                name=self._config.model_name,
                engine=self.name,
                created=int(stat.st_mtime),
                size_bytes=size,
                parameters=parameters,
                quantization=quantization(self._config.model_path),
                context_tokens=self._config.context_tokens,
                loaded=self._keeper.running,
                capabilities=("completion", "embedding", "tools"),
            )
        ]

    async def capabilities(self, model: str) -> Capabilities:
        self._check(model)
        return replace(await (await self._ready())[1].capabilities(model), load=True)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        self._check(request.model)
        address, client = await self._ready_within(request.limits)
        try:
            async with aclosing(client.generate(request)) as events:
                async for event in events:
                    yield event
            return
        except (EngineUnavailable, EngineProtocolError) as error:
            explained = await self._explain(error, address)
            if _reached(error):
                raise explained from error
        # It died a moment ago and nothing was sent: the one that takes its place is asked.
        _, client = await self._ready_within(request.limits)
        async with aclosing(client.generate(request)) as events:
            async for event in events:
                yield event

    async def embed(self, request: EmbedRequest) -> Embeddings:
        self._check(request.model)
        address, client = await self._ready_within(request.limits)
        try:
            return await client.embed(request)
        except (EngineUnavailable, EngineProtocolError) as error:
            explained = await self._explain(error, address)
            if _reached(error):
                raise explained from error
        _, client = await self._ready_within(request.limits)
        return await client.embed(request)

    async def count_tokens(self, model: str, text: str) -> int | None:
        """By the running child; a model is not brought into memory to count."""
        if model != self._config.model_name or not self._keeper.running:
            return None
        try:
            return await (await self._ready())[1].count_tokens(model, text)
        except EngineError:
            return None

    async def health(self) -> Health:
        if not self._keeper.running:
            if self._keeper.last_exit is not None:
                return Health(ok=False, detail=f"llama.cpp {self._keeper.last_exit}")
            return Health(ok=True, detail="starts on first use")
        try:
            await (await self._ready())[1].models()
        except EngineError as error:
            return Health(ok=False, detail=error.message, hint=error.hint)
        return Health(ok=True, detail=f"llama.cpp, restarted {self._keeper.restarts} times")

    async def address(self) -> Address:
        """Of the child as it runs now: its next start has another key."""
        return await (await self._ready())[1].address()

    async def load(self, model: str) -> None:
        self._check(model)
        await self._ready()

    async def unload(self, model: str) -> None:
        self._check(model)
        await self._keeper.stop()

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client[1].aclose()
        await self._keeper.aclose()

    def _check(self, model: str) -> None:
        if model != self._config.model_name:
            raise ModelNotFound(model, [self._config.model_name])

    async def _ready_within(self, limits: TimeLimits) -> tuple[ChildAddress, OpenAIEngine]:
        """As ``_ready``; a child that takes longer to start goes on starting for those to come."""
        limit: TimeLimit = "first_token" if limits.first_token_s <= limits.total_s else "total"
        limit_s = min(limits.first_token_s, limits.total_s)
        try:
            async with asyncio.timeout(limit_s):
                return await self._ready()
        except TimeoutError as error:
            raise EngineTimeout(self.name, limit, limit_s, where=self.where) from error

    async def _ready(self) -> tuple[ChildAddress, OpenAIEngine]:
        """The running child and a client for it; each start has a key and so a client anew."""
        address = await self._keeper.address()
        if self._client is None or self._client[0] is not address:
            stale = self._client
            client = OpenAIEngine(
                self.name,
                address.url,
                api_key=address.api_key,
                flavour="llamacpp",
                unix_socket=address.unix_socket,
                # It closes each connection after a streamed answer, and says that it will not.
                reuse_connections=False,
            )
            self._client = (address, client)
            if stale is not None:
                await stale[1].aclose()
            return address, client
        return self._client

    async def _explain(
        self, error: EngineUnavailable | EngineProtocolError, address: ChildAddress
    ) -> EngineError:
        """A broken connection as what it is, where the child behind it has died."""
        how = await self._keeper.died(address)
        if how is None:
            return error
        return EngineUnavailable(
            self.name,
            f"The embedded llama.cpp {how} in the middle of the answer.",
            hint="It is started again by itself: send the request once more.",
        )


def _reached(error: EngineUnavailable | EngineProtocolError) -> bool:
    return not isinstance(error, EngineUnavailable) or error.reached
