"""Ollama, spoken to in its native API."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Any

from novasystem.engines.constrained import generate_with_tools
from novasystem.engines.events import Event
from novasystem.engines.http import Transport, checked_address
from novasystem.engines.ollama_wire import OPTIONS, SAMPLING, LineDecoder, encode_request
from novasystem.engines.protocol import Address, Capabilities, Health, Model
from novasystem.engines.refusal import check, refused
from novasystem.engines.requests import Embeddings, EmbedRequest, GenerateRequest, TimeLimits
from novasystem.engines.sse import NdjsonSplitter
from novasystem.engines.stream import stream
from novasystem.errors import (
    EngineError,
    EngineProtocolError,
    EngineRejected,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    UnsupportedParameter,
)

__all__ = ["OllamaEngine"]

_PROBE = TimeLimits(connect_s=2, first_token_s=5, between_tokens_s=5, total_s=10)
_UNLOAD_LOOKS = 200
_LOAD = TimeLimits(connect_s=5, first_token_s=600, between_tokens_s=600, total_s=600)


class OllamaEngine:
    """One Ollama server at ``address``, such as ``http://127.0.0.1:11434``."""

    kind = "ollama"

    def __init__(
        self, name: str, address: str, *, api_key: str | None = None, exact: bool = False
    ) -> None:
        checked_address(address)
        self.name = name
        self._address = Address("ollama", address, api_key=api_key)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else None
        self._transport = Transport(name, address, headers=headers, exact=exact)
        self.where = self._transport.where
        self._shown: dict[str, dict[str, Any]] = {}

    async def models(self) -> list[Model]:
        tags, running = await asyncio.gather(
            self._transport.get_json("/api/tags", _PROBE),
            self._transport.get_json("/api/ps", _PROBE),
        )
        try:
            loaded = {item["name"] for item in running.get("models") or ()}
            items = tags.get("models") or []
            details = await asyncio.gather(
                *(self._details(item["name"], item.get("digest", "")) for item in items)
            )
            return [
                self._model(item, shown, item["name"] in loaded)
                for item, shown in zip(items, details, strict=True)
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineProtocolError(
                self.name,
                f"Engine '{self.name}' at {self.where} does not list its models as Ollama does.",
                hint="Check that an Ollama server listens at this address.",
            ) from error

    def _model(self, item: dict[str, Any], shown: dict[str, Any], loaded: bool) -> Model:
        details = item.get("details") or {}
        return Model(
            name=item["name"].removesuffix(":latest"),
            engine=self.name,
            created=_unix(item.get("modified_at")),
            size_bytes=item.get("size"),
            parameters=details.get("parameter_size"),
            quantization=details.get("quantization_level"),
            family=details.get("family"),
            digest=item.get("digest"),
            context_tokens=_context(shown),
            loaded=loaded,
            capabilities=tuple(shown.get("capabilities") or ()),
        )

    async def _details(self, model: str, digest: str) -> dict[str, Any]:
        """As ``_show``, but a model that is gone or broken must not hide all the others."""
        try:
            return await self._show(model, digest)
        except (EngineRejected, InvalidRequest, ModelNotFound, Overloaded):
            return {}

    async def _show(self, model: str, digest: str = "") -> dict[str, Any]:
        """``/api/show``, kept per digest: a model pulled anew is asked about anew."""
        key = f"{model}@{digest}"
        if key not in self._shown:
            try:
                shown = await self._transport.post_json("/api/show", {"model": model}, _PROBE)
            except EngineRejected as error:
                raise refused(error, model) from error
            self._shown[key] = shown if isinstance(shown, dict) else {}
        return self._shown[key]

    async def capabilities(self, model: str) -> Capabilities:
        can = (await self._show(model)).get("capabilities")
        # Servers before 0.6.4 do not say: then the request itself shows what is possible.
        known = set(can) if can is not None else {"completion", "embedding", "tools", "thinking"}
        return Capabilities(
            chat="completion" in known,
            embeddings=True,
            tools="native" if "tools" in known else "constrained",
            # Ollama takes tool_choice and ignores it.
            tool_choice=False,
            reasoning="thinking" in known,
            reasoning_switch="thinking" in known,
            load=True,
            sampling=frozenset(SAMPLING),
            options=OPTIONS | {"keep_alive"},
        )

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        capabilities = await self.capabilities(request.model)
        check(self.name, request, capabilities)
        await self._check_window(request)
        answer = generate_with_tools(self.name, request, capabilities, self._stream)
        async with aclosing(answer) as events:
            async for event in events:
                yield event

    async def _check_window(self, request: GenerateRequest) -> None:
        """Ollama takes a larger window than the model has, and says so in its log alone."""
        asked = request.options.get("num_ctx")
        trained = _trained_context(await self._show(request.model))
        if isinstance(asked, int) and trained is not None and asked > trained:
            raise UnsupportedParameter(
                "num_ctx", f"the window of '{request.model}' has {trained} tokens at most"
            )

    def _stream(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        body = encode_request(request)
        return stream(self._transport, "/api/chat", body, request, NdjsonSplitter(), LineDecoder())

    async def embed(self, request: EmbedRequest) -> Embeddings:
        body: dict[str, Any] = {"model": request.model, "input": list(request.texts)}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        # A text that does not fit is refused instead of being cut without a word.
        body["truncate"] = False
        try:
            answer = await self._transport.post_json("/api/embed", body, request.limits)
        except EngineRejected as error:
            raise refused(error, request.model) from error
        try:
            vectors = tuple(tuple(map(float, row)) for row in answer["embeddings"])
            if len(vectors) != len(request.texts):
                raise ValueError(len(vectors))
            return Embeddings(vectors, answer.get("prompt_eval_count"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineProtocolError(
                self.name,
                f"Engine '{self.name}' at {self.where} answered without the embeddings asked for.",
                hint="Check that the model offers embeddings.",
            ) from error

    async def count_tokens(self, model: str, text: str) -> int | None:
        """Ollama does not tell how it tokenizes."""
        return None

    async def health(self) -> Health:
        try:
            version = await self.version()
        except EngineError as error:
            return Health(ok=False, detail=error.message, hint=error.hint)
        return Health(ok=True, detail=f"Ollama {version or 'of an unknown version'}")

    async def version(self) -> str | None:
        answer = await self._transport.get_json("/api/version", _PROBE)
        version = answer.get("version") if isinstance(answer, dict) else None
        return None if version is None else str(version)

    async def address(self) -> Address:
        return self._address

    async def load(self, model: str) -> None:
        await self._keep(model, {})

    async def unload(self, model: str) -> None:
        await self._keep(model, {"keep_alive": 0})
        # It answers before the model is gone.
        for _ in range(_UNLOAD_LOOKS):
            if not await self._is_loaded(model):
                return
            await asyncio.sleep(0.05)

    async def _is_loaded(self, model: str) -> bool:
        running = await self._transport.get_json("/api/ps", _PROBE)
        names = {str(item.get("name")) for item in running.get("models") or ()}
        return not names.isdisjoint({model, f"{model}:latest"})

    async def _keep(self, model: str, more: dict[str, Any]) -> None:
        """A chat without messages generates nothing: it only loads, or lets go of, the model."""
        body = {"model": model, "messages": [], "stream": False, **more}
        try:
            await self._transport.post_json("/api/chat", body, _LOAD)
        except EngineRejected as error:
            raise refused(error, model) from error

    async def aclose(self) -> None:
        await self._transport.aclose()


def _unix(text: str | None) -> int:
    return int(datetime.fromisoformat(text).timestamp()) if text else 0


def _context(shown: dict[str, Any]) -> int | None:
    """The window set for the model (``num_ctx``), else the one it was trained with."""
    for line in str(shown.get("parameters") or "").splitlines():
        name, _, number = line.partition(" ")
        if name == "num_ctx" and number.strip().isdigit():
            return int(number)
    return _trained_context(shown)


def _trained_context(shown: dict[str, Any]) -> int | None:
    info = shown.get("model_info") or {}
    trained = info.get(f"{info.get('general.architecture')}.context_length")
    return int(trained) if trained else None
