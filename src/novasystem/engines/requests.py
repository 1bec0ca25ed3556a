"""What an engine is asked for, in no one's wire format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from novasystem.errors import ConfigurationError

__all__ = [
    "EmbedRequest",
    "Embeddings",
    "GenerateRequest",
    "JsonOutput",
    "Message",
    "Role",
    "Sampling",
    "TimeLimits",
    "Tool",
    "ToolCall",
    "ToolChoice",
]

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asked for; ``arguments`` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """On a ``tool`` message: which call this is the result of."""
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; ``parameters`` is a JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model may, must not or must call a tool; with ``name``, which it must call."""

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None

    @property
    def forced(self) -> bool:
        return self.mode == "required"


@dataclass(frozen=True, slots=True)
class JsonOutput:
    """The answer must be JSON; with a ``schema``, it must fit that."""

    schema: Mapping[str, Any] | None = None
    name: str = "answer"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. ``None``: the engine's own default; 0 is a value like any other."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None

    def given(self) -> dict[str, Any]:
        """Those that were asked for, by name."""
        given: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value != ():
                given[name] = value
        return given


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The four limits that stand over every generation, in seconds.

    ``first_token_s`` counts from the moment the request was sent, ``between_tokens_s`` from the
    last token; a keep-alive or an empty chunk is no token. ``total_s`` covers everything.
    """

    connect_s: float = 5.0
    first_token_s: float = 300.0
    between_tokens_s: float = 60.0
    total_s: float = 3600.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                msg = f"The time limit {name} must be above 0 s, not {getattr(self, name)}."
                raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One answer asked of one model, named as its engine names it.

    ``think``: whether a model that can reason does so, or how hard ("low", "medium", "high");
    ``None`` leaves it to the model. ``options`` are parameters that only one engine knows, such as
    Ollama's ``num_ctx`` and ``keep_alive``; an engine refuses those that it does not know.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool | None = None
    json_output: JsonOutput | None = None
    think: bool | Literal["low", "medium", "high"] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: TimeLimits = TimeLimits()


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    limits: TimeLimits = TimeLimits()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """``vectors``: one row of floats per text, in order."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: int | None
