"""What several of OpenAI's endpoints take in the same form: functions, and how to answer."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "MAX_TOOLS",
    "OPEN",
    "STRICT",
    "NamedTool",
    "Part",
    "Probability",
    "ResponseFormat",
    "Temperature",
    "ToolIn",
    "ToolMode",
]

MAX_TOOLS = 128
STRICT = ConfigDict(extra="forbid")
# Unknown parameters are refused too, but by name and with a 400, as what they are.
OPEN = ConfigDict(extra="allow")

Temperature = Annotated[float, Field(ge=0, le=2)]
Probability = Annotated[float, Field(ge=0, le=1)]
ToolMode = Literal["auto", "none", "required"]


class Part(BaseModel):
    """One part of a message's content. Only text is understood."""

    model_config = OPEN

    type: str
    text: str | None = None


class FunctionIn(BaseModel):
    model_config = STRICT

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolIn(BaseModel):
    """A tool; those of other types than ``function`` may have fields of their own."""

    model_config = OPEN

    type: str
    function: FunctionIn | None = None


class NamedFunction(BaseModel):
    model_config = STRICT

    name: str


class NamedTool(BaseModel):
    model_config = STRICT

    type: Literal["function"]
    function: NamedFunction


class JsonSchemaIn(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: str = Field(default="answer", max_length=64)
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    model_config = STRICT

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaIn | None = None
