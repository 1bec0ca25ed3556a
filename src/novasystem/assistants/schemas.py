"""What the assistants API takes, as OpenAI's clients send it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from novasystem.wire.schemas import (
    MAX_TOOLS,
    OPEN,
    STRICT,
    NamedFunction,
    Part,
    Probability,
    ResponseFormat,
    Temperature,
    ToolIn,
    ToolMode,
)

__all__ = [
    "BODIES",
    "AssistantCreate",
    "AssistantUpdate",
    "MessageCreate",
    "MetadataUpdate",
    "RunCreate",
    "RunOptions",
    "ThreadCreate",
    "ThreadRunCreate",
    "ThreadUpdate",
    "ToolOutputs",
]

_MAX_MESSAGES = 10_000


def _plain(text: str) -> str:
    # PostgreSQL's text has no room for it.
    if "\0" in text:
        msg = "U+0000 cannot be part of it."
        raise ValueError(msg)
    return text


_Key = Annotated[str, Field(min_length=1, max_length=64)]
_Value = Annotated[str, Field(max_length=512)]

Metadata = Annotated[dict[_Key, _Value], Field(max_length=16)]
_Plain = AfterValidator(_plain)
Model = Annotated[str, Field(min_length=1, max_length=512), _Plain]
Name = Annotated[str, Field(max_length=256), _Plain]
Description = Annotated[str, Field(max_length=512), _Plain]
Instructions = Annotated[str, Field(max_length=256_000)]
Tools = Annotated[list[ToolIn], Field(max_length=MAX_TOOLS)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000)]
Format = Literal["auto"] | ResponseFormat

_ANALYST: dict[str, Any] = {
    "model": "nova-tiny",
    "name": "Market analyst",
    "instructions": "You analyse markets. Answer in one sentence.",
    "metadata": {"team": "research"},
}
_QUESTION: dict[str, Any] = {"role": "user", "content": "What is 4 plus 9?"}


def _open(**example: Any) -> ConfigDict:
    return ConfigDict(extra="allow", json_schema_extra={"examples": [example]})


class AssistantUpdate(BaseModel):
    """What is given takes the place of what was; ``null`` takes it away."""

    model_config = _open(instructions="Answer in two sentences.", temperature=0)

    model: Model = ""
    name: Name | None = None
    description: Description | None = None
    instructions: Instructions | None = None
    tools: Tools | None = None
    tool_resources: dict[str, Any] | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    response_format: Format | None = None


class AssistantCreate(AssistantUpdate):
    """An assistant: a model, what it is told, and the functions that it may call."""

    model_config = _open(**_ANALYST)

    model: Model


class MessageCreate(BaseModel):
    """One message. Content is a text, or parts of type ``text``, which are joined."""

    model_config = _open(**_QUESTION)

    role: Literal["user", "assistant"]
    content: str | list[Part]
    attachments: list[Any] | None = None
    metadata: Metadata | None = None


class MetadataUpdate(BaseModel):
    """New metadata in the place of the old."""

    model_config = _open(metadata={"topic": "sums"})

    metadata: Metadata | None = None

    @property
    def given(self) -> dict[str, str] | None:
        """What takes the place of the old metadata; ``None``: nothing does."""
        return (self.metadata or {}) if "metadata" in self.model_fields_set else None


class ThreadUpdate(MetadataUpdate):
    tool_resources: dict[str, Any] | None = None


class ThreadCreate(ThreadUpdate):
    """A thread, with its first messages."""

    model_config = _open(messages=[_QUESTION], metadata={"topic": "sums"})

    messages: Annotated[list[MessageCreate], Field(max_length=_MAX_MESSAGES)] | None = None


class ToolChoiceIn(BaseModel):
    """The tool that must be called."""

    model_config = STRICT

    type: str
    function: NamedFunction | None = None


class Truncation(BaseModel):
    """``last_messages``: how many of the newest messages are shown at most."""

    model_config = STRICT

    type: Literal["auto", "last_messages"]
    last_messages: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class RunOptions(BaseModel):
    """How an assistant is run; what is not given is as the assistant has it."""

    model_config = OPEN

    assistant_id: str
    model: Model | None = None
    instructions: Instructions | None = None
    tools: Tools | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    max_prompt_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    truncation_strategy: Truncation | None = None
    tool_choice: ToolMode | ToolChoiceIn | None = None
    parallel_tool_calls: bool | None = None
    response_format: Format | None = None
    stream: bool | None = None


class RunCreate(RunOptions):
    """A run on a thread that is there."""

    model_config = _open(assistant_id="asst_…", additional_messages=[_QUESTION])

    additional_instructions: Instructions | None = None
    additional_messages: Annotated[list[MessageCreate], Field(max_length=_MAX_MESSAGES)] | None = (
        None
    )


class ThreadRunCreate(RunOptions):
    """A run on a thread that is made for it."""

    model_config = _open(assistant_id="asst_…", thread={"messages": [_QUESTION]})

    thread: ThreadCreate | None = None
    tool_resources: dict[str, Any] | None = None


class ToolOutput(BaseModel):
    model_config = OPEN

    tool_call_id: str
    output: str = ""


class ToolOutputs(BaseModel):
    """The results of all calls that a run waits for."""

    model_config = _open(tool_outputs=[{"tool_call_id": "call_…", "output": "18 degrees"}])

    tool_outputs: list[ToolOutput] = Field(min_length=1, max_length=1_000)
    stream: bool | None = None


BODIES: tuple[type[BaseModel], ...] = (
    AssistantCreate,
    AssistantUpdate,
    MessageCreate,
    MetadataUpdate,
    RunCreate,
    ThreadCreate,
    ThreadRunCreate,
    ThreadUpdate,
    ToolOutputs,
)
"""All that a route takes."""
