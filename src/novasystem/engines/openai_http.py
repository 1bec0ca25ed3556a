"""Any server that speaks OpenAI's chat completions: vLLM, llama.cpp, SGLang, LM Studio …

What differs between them is data: a flavour, told by how the server describes its own models.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import quote

from novasystem.engines.constrained import generate_with_tools
from novasystem.engines.events import Event, Finished, ToolCallDelta
from novasystem.engines.http import Transport, checked_address
from novasystem.engines.openai_wire import ChunkDecoder, encode_request
from novasystem.engines.protocol import Address, Capabilities, Health, Model
from novasystem.engines.refusal import check, refused
from novasystem.engines.requests import (
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    Message,
    Sampling,
    TimeLimits,
    Tool,
    ToolChoice,
)
from novasystem.engines.sse import SseSplitter
from novasystem.engines.stream import stream
from novasystem.engines.tokenize import TOKENIZERS, TokenCounter
from novasystem.errors import EngineError, EngineProtocolError, EngineRejected, InvalidRequest

__all__ = ["FLAVOURS", "Flavour", "OpenAIEngine", "split_address"]

_PROBE = TimeLimits(connect_s=2, first_token_s=5, between_tokens_s=5, total_s=10)

_TRIAL = GenerateRequest(
    model="",
    messages=(Message("user", "Call the tool ping."),),
    sampling=Sampling(temperature=0.0, max_tokens=48),
    tools=(Tool("ping", "Answers.", {"type": "object", "properties": {}}),),
    tool_choice=ToolChoice("required"),
)

_STANDARD = frozenset(
    {
        "temperature",
        "top_p",
        "seed",
        "max_tokens",
        "stop",
        "presence_penalty",
        "frequency_penalty",
    }
)


@dataclass(frozen=True, slots=True)
class Flavour:
    """What one kind of server takes beyond OpenAI's own parameters, and under which name."""

    sampling: frozenset[str] = _STANDARD
    names: Mapping[str, str] = field(default_factory=dict)
    options: frozenset[str] = frozenset()
    reasoning_switch: bool = False
    named_choice: bool = True
    """Whether a tool can be required by its name."""


FLAVOURS: dict[str, Flavour] = {
    "openai": Flavour(),
    "llamacpp": Flavour(
        sampling=_STANDARD | {"top_k", "min_p", "repeat_penalty"},
        options=frozenset(
            {"cache_prompt", "id_slot", "ignore_eos", "n_keep", "typical_p", "mirostat"}
        ),
        reasoning_switch=True,
        # It takes an object as tool_choice and ignores it, with a line in its log.
        named_choice=False,
    ),
    "vllm": Flavour(
        sampling=_STANDARD | {"top_k", "min_p", "repeat_penalty"},
        names={"repeat_penalty": "repetition_penalty"},
        options=frozenset({"ignore_eos", "min_tokens"}),
        reasoning_switch=True,
    ),
    "sglang": Flavour(
        sampling=_STANDARD | {"top_k", "min_p", "repeat_penalty"},
        names={"repeat_penalty": "repetition_penalty"},
        options=frozenset({"ignore_eos", "min_tokens"}),
        reasoning_switch=True,
    ),
    "lmstudio": Flavour(sampling=_STANDARD | {"top_k", "repeat_penalty"}),
}
_BY_OWNER = {
    "llamacpp": "llamacpp",
    "vllm": "vllm",
    "sglang": "sglang",
    "organization_owner": "lmstudio",
}
_VERSIONS = {
    "llamacpp": ("/props", "build_info"),
    "sglang": ("/get_server_info", "version"),
    "vllm": ("/version", "version"),
}
"""By flavour, where the server says its version, and under which name."""


def split_address(address: str) -> tuple[str, str]:
    """Root and API prefix of an address: ``http://h:8000/v1`` → ``("http://h:8000", "/v1")``.

    An address without a path is taken to have its API under ``/v1``.
    """
    parts = checked_address(address)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/") or "/v1"


class OpenAIEngine:
    """One OpenAI-compatible server.

    ``flavour``: a key of :data:`FLAVOURS`; ``None`` asks the server. ``tools``: "constrained" for
    a server whose models answer prose where a tool call is required. ``exact`` as
    :class:`~novasystem.engines.http.Transport` has it.
    """

    kind = "openai"

    def __init__(
        self,
        name: str,
        address: str,
        *,
        api_key: str | None = None,
        flavour: str | None = None,
        tools: Literal["native", "constrained"] | None = None,
        unix_socket: str | None = None,
        reuse_connections: bool = True,
        exact: bool = False,
    ) -> None:
        root, self._prefix = split_address(address)
        self.name = name
        self._flavour_name = flavour
        self._tools = tools
        self._address = Address("openai", address, unix_socket, api_key, flavour, reuse_connections)
        self._transport = Transport(
            name,
            root,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            unix_socket=unix_socket,
            reuse=reuse_connections,
            exact=exact,
        )
        self.where = self._transport.where
        self._capabilities: dict[str, Capabilities] = {}
        self._proven: set[str] = set()
        self._counter = TokenCounter(self._transport)

    async def models(self) -> list[Model]:
        answer = await self._transport.get_json(f"{self._prefix}/models", _PROBE)
        try:
            return [self._model(item) for item in answer["data"]]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineProtocolError(
                self.name,
                f"Engine '{self.name}' at {self.where} does not list its models as OpenAI does.",
                hint="Check that the address ends where the API begins, mostly in /v1.",
            ) from error

    def _model(self, item: dict[str, Any]) -> Model:
        meta = item.get("meta") or {}
        parameters = meta.get("n_params")
        if self._flavour_name is None:
            self._flavour_name = _BY_OWNER.get(str(item.get("owned_by")), "openai")
        return Model(
            name=str(item["id"]),
            engine=self.name,
            created=int(item.get("created") or 0),
            size_bytes=meta.get("size"),
            parameters=f"{parameters / 1e6:.4g}M" if parameters else None,
            context_tokens=item.get("max_model_len") or meta.get("n_ctx_train"),
        )

    async def capabilities(self, model: str) -> Capabilities:
        known = self._capabilities.get(model)
        if known is None:
            if self._flavour_name is None:
                await self.models()
            known = self._capabilities[model] = await self._probe(model)
        return known

    async def _probe(self, model: str) -> Capabilities:
        name = self._flavour_name or "openai"
        flavour = FLAVOURS[name]
        tools: Literal["native", "constrained"] = self._tools or "native"
        thinks = False
        if name == "llamacpp":
            props = await self._props(model)
            template = str(props.get("chat_template_tool_use") or props.get("chat_template") or "")
            caps = props.get("chat_template_caps") or {}
            if self._tools is None and not caps.get("supports_tools", "tools" in template):
                tools = "constrained"
            thinks = "enable_thinking" in template
        return Capabilities(
            embeddings=True,
            tools=tools,
            reasoning=thinks,
            reasoning_switch=thinks or (flavour.reasoning_switch and name != "llamacpp"),
            sampling=flavour.sampling,
            options=flavour.options,
        )

    async def _props(self, model: str) -> dict[str, Any]:
        try:
            answer = await self._transport.get_json(f"/props?model={quote(model, safe='')}", _PROBE)
        except EngineRejected:
            return {}
        return answer if isinstance(answer, dict) else {}

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        """Without tools, and once the model is known, the stream itself: nothing in between."""
        known = self._capabilities.get(request.model)
        if known is None or request.tools:
            return self._generate(request)
        check(self.name, request, known)
        return self._stream(request)

    async def _generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        capabilities = await self.capabilities(request.model)
        check(self.name, request, capabilities)
        if request.tools and request.tool_choice.mode != "none":
            capabilities = await self._proved(request, capabilities)
        answer = generate_with_tools(self.name, request, capabilities, self._stream)
        async with aclosing(answer) as events:
            async for event in events:
                yield event

    async def _proved(self, request: GenerateRequest, claimed: Capabilities) -> Capabilities:
        """``claimed``, as far as it holds when a call is required: tried once for each model.

        llama.cpp says of templates that they support tools, and where it cannot make a parser for
        one, it lets the model end with prose. Where it can, its grammar still allows prose in front
        of the call: a weak model goes on and on, and a choice is better enforced by a schema.
        """
        unsure = self._tools is None and self._flavour_name == "llamacpp"
        if not unsure or claimed.tools != "native" or request.model in self._proven:
            return claimed
        trial = replace(_TRIAL, model=request.model, limits=request.limits)
        proved = replace(claimed, tools="constrained")
        try:
            async with aclosing(self._stream(trial)) as events:
                async for event in events:
                    if isinstance(event, ToolCallDelta):
                        proved = claimed
                        break
                    if isinstance(event, Finished) and event.reason == "length":
                        proved = replace(claimed, tool_choice=False)
        except (EngineProtocolError, EngineRejected, InvalidRequest):
            pass
        self._proven.add(request.model)
        self._capabilities[request.model] = proved
        return proved

    def _stream(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        flavour = FLAVOURS[self._flavour_name or "openai"]
        choice = request.tool_choice
        if choice.name is not None and not flavour.named_choice:
            named = tuple(tool for tool in request.tools if tool.name == choice.name)
            request = replace(request, tools=named, tool_choice=ToolChoice("required"))
        body = encode_request(request, names=flavour.names)
        path = f"{self._prefix}/chat/completions"
        return stream(self._transport, path, body, request, SseSplitter(), ChunkDecoder())

    async def embed(self, request: EmbedRequest) -> Embeddings:
        body: dict[str, Any] = {"model": request.model, "input": list(request.texts)}
        body["encoding_format"] = "float"
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        try:
            answer = await self._transport.post_json(
                f"{self._prefix}/embeddings", body, request.limits
            )
        except EngineRejected as error:
            raise refused(error, request.model) from error
        try:
            rows = sorted(answer["data"], key=lambda row: int(row["index"]))
            vectors = tuple(tuple(map(float, row["embedding"])) for row in rows)
            if len(vectors) != len(request.texts):
                raise ValueError(len(vectors))
            return Embeddings(vectors, (answer.get("usage") or {}).get("prompt_tokens"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineProtocolError(
                self.name,
                f"Engine '{self.name}' at {self.where} answered without the embeddings asked for.",
                hint="Check that the model offers embeddings.",
            ) from error

    async def count_tokens(self, model: str, text: str) -> int | None:
        tokenizer = TOKENIZERS.get(self._flavour_name or "")
        return None if tokenizer is None else await self._counter.count(tokenizer, model, text)

    async def health(self) -> Health:
        try:
            models = await self.models()
        except EngineError as error:
            return Health(ok=False, detail=error.message, hint=error.hint)
        return Health(ok=True, detail=f"{self._flavour_name or 'openai'}, {len(models)} models")

    async def version(self) -> str | None:
        """The server's own, where its kind has a place for it; ``None`` elsewhere."""
        if self._flavour_name is None:
            await self.models()
        path, name = _VERSIONS.get(self._flavour_name or "", ("", ""))
        if not path:
            return None
        answer = await self._transport.get_json(path, _PROBE)
        version = answer.get(name) if isinstance(answer, dict) else None
        return None if version is None else str(version)

    async def address(self) -> Address:
        return replace(self._address, flavour=self._flavour_name)

    async def load(self, model: str) -> None:
        raise InvalidRequest(f"Engine '{self.name}' loads '{model}' by itself, not on demand.")

    async def unload(self, model: str) -> None:
        raise InvalidRequest(f"Engine '{self.name}' cannot unload '{model}' on demand.")

    async def aclose(self) -> None:
        await self._transport.aclose()
