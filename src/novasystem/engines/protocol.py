"""What every engine offers. What one of them can do beyond that is data: its capabilities."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from novasystem.engines.events import Event
from novasystem.engines.requests import Embeddings, EmbedRequest, GenerateRequest

__all__ = ["Address", "Capabilities", "Engine", "Health", "Model", "Versioned"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine listens, and what another process needs to ask it there by itself.

    ``speaks``: in whose wire format. ``flavour``: a key of the flavours of OpenAI-compatible
    servers, where it is known. ``reuse``: whether it keeps connections as it says it does.
    """

    speaks: Literal["ollama", "openai"]
    url: str
    unix_socket: str | None = None
    api_key: str | None = field(default=None, repr=False)
    flavour: str | None = None
    reuse: bool = True


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do on its engine; probed where the engine can be asked.

    ``tools``: "native", the model's template shows tools and the engine parses the calls;
    "constrained", the output is bound to a JSON schema of the tools instead. ``tool_choice``:
    whether the engine itself enforces a required or named call. ``sampling`` and ``options``:
    names of the parameters that reach the model. ``load``: whether models can be loaded and
    unloaded on demand.
    """

    chat: bool = True
    embeddings: bool = False
    tools: Literal["native", "constrained"] = "native"
    tool_choice: bool = True
    json_schema: bool = True
    reasoning: bool = False
    reasoning_switch: bool = False
    load: bool = False
    sampling: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Model:
    """A model as its engine describes it; ``None`` where the engine does not say.

    ``size_bytes``: its weights. ``context_tokens``: the window that one conversation can use.
    ``created``: unix seconds. ``loaded``: whether it lies in memory now.
    """

    name: str
    engine: str
    created: int = 0
    size_bytes: int | None = None
    parameters: str | None = None
    quantization: str | None = None
    family: str | None = None
    digest: str | None = None
    context_tokens: int | None = None
    loaded: bool | None = None
    capabilities: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an engine answers now; ``detail`` is its version, or what is wrong."""

    ok: bool
    detail: str = ""
    hint: str = ""


class Engine(Protocol):
    """A source of tokens at one address.

    ``generate`` yields :class:`~novasystem.engines.events.Sent` once the engine has accepted the
    request, so that whatever is refused is refused before the first event. It ends with
    ``Finished`` or raises an :class:`~novasystem.errors.EngineError`. Closing it stops the
    generation at the engine within a second.
    """

    name: str
    """The name in the settings: ``ollama``, ``embedded``, ``vllm`` …"""
    kind: str
    where: str
    """Its address, to be shown."""

    async def models(self) -> list[Model]:
        """Every model that it has now."""
        ...

    async def capabilities(self, model: str) -> Capabilities: ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]: ...

    async def embed(self, request: EmbedRequest) -> Embeddings: ...

    async def count_tokens(self, model: str, text: str) -> int | None:
        """Tokens of ``text`` alone, without what a chat template adds.

        ``None`` where the engine cannot count, or not now: nothing fails because of it, and it
        takes two seconds at most.
        """
        ...

    async def health(self) -> Health: ...

    async def address(self) -> Address:
        """Where another process reaches it; an engine that we keep is started for it."""
        ...

    async def load(self, model: str) -> None:
        """Bring the model into memory; ``InvalidRequest`` where the engine cannot."""
        ...

    async def unload(self, model: str) -> None:
        """Take the model out of memory; ``InvalidRequest`` where the engine cannot."""
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Versioned(Protocol):
    """An engine that can say which version of its program answers; not every one can."""

    async def version(self) -> str | None:
        """``None`` where the server does not say; raises an ``EngineError`` where it is silent."""
        ...
