"""What ``/v1/chat/completions`` and ``/v1/embeddings`` take, as OpenAI's clients send it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from novasystem.wire.schemas import (
    MAX_TOOLS,
    OPEN,
    STRICT,
    NamedTool,
    Part,
    Probability,
    ResponseFormat,
    Temperature,
    ToolIn,
    ToolMode,
)

__all__ = ["CompletionRequest", "EmbeddingRequest", "MessageIn"]

Penalty = Annotated[float, Field(ge=-2, le=2)]


class FunctionCall(BaseModel):
    model_config = STRICT

    name: str = Field(min_length=1, max_length=64)
    arguments: str = ""


class ToolCallIn(BaseModel):
    model_config = OPEN

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class MessageIn(BaseModel):
    """One turn of the conversation. ``developer`` is another word for ``system``."""

    model_config = OPEN

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCallIn] | None = None
    tool_call_id: str | None = None


class StreamOptions(BaseModel):
    model_config = STRICT

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class CompletionRequest(BaseModel):
    """A chat completion. Beyond OpenAI's parameters: ``top_k``, ``min_p``, ``repeat_penalty``,
    ``think``, and what only Ollama takes, ``num_ctx`` and ``keep_alive``."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "model": "nova-tiny",
                    "messages": [{"role": "user", "content": "What is 2+3?"}],
                    "stream": False,
                },
                {
                    "model": "nova-tiny",
                    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
                    "tools": [
                        {
                            "type": "function",
                            "function": {
                                "name": "get_weather",
                                "description": "The weather in a city.",
                                "parameters": {
                                    "type": "object",
                                    "properties": {"city": {"type": "string"}},
                                    "required": ["city"],
                                },
                            },
                        }
                    ],
                },
            ]
        },
    )

    model: str | None = Field(default=None, max_length=512)
    messages: list[MessageIn] = Field(min_length=1, max_length=10_000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_k: int | None = Field(default=None, ge=0, le=1_000_000)
    min_p: Probability | None = None
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    tools: list[ToolIn] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: ToolMode | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    think: bool | Literal["low", "medium", "high"] | None = None
    num_ctx: int | None = Field(default=None, ge=1, le=100_000_000)
    keep_alive: str | int | None = None
    n: int | None = Field(default=None, ge=1)
    user: str | None = Field(default=None, max_length=512)
    """Written to the request's log line; goes nowhere else."""
    metadata: dict[str, str] | None = Field(default=None, max_length=16)
    """Written to the request's log line; goes nowhere else."""


class EmbeddingRequest(BaseModel):
    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [{"model": "nova-tiny", "input": ["A cat sat.", "A dog ran."]}]
        },
    )

    model: str | None = Field(default=None, max_length=512)
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1, le=100_000)
    user: str | None = Field(default=None, max_length=512)
