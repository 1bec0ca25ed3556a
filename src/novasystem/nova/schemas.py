"""What ``POST /api/nova/ask`` takes."""

import re
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from novasystem.errors import MalformedRequest
from novasystem.nova.limits import AskLimits

__all__ = ["MAX_PROMPT_CHARS", "AskRequest", "Parameters", "session_uuid"]

MAX_PROMPT_CHARS = 32_000
_DEFAULT = AskLimits()
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _prompt(text: str) -> str:
    if len(text) > MAX_PROMPT_CHARS:
        raise PydanticCustomError(
            "message_too_long",
            "A prompt has at most {limit} characters; this one has {length}.",
            {"limit": MAX_PROMPT_CHARS, "length": len(text)},
        )
    if not text.strip():
        raise PydanticCustomError("prompt_empty", "A prompt is not empty or only white space.")
    return text


def _session_id(text: str | None) -> str | None:
    if text is not None and not _UUID.fullmatch(text):
        raise PydanticCustomError("not_a_uuid", "This is not a UUID.")
    return text


def session_uuid(text: str) -> UUID:
    """The UUID of a session; raises ``MalformedRequest`` where it is none."""
    if not _UUID.fullmatch(text):
        msg = f"'{text[:80]}' is not a UUID, which sessions are named by."
        raise MalformedRequest(msg, param="session_id")
    return UUID(text)


class Parameters(BaseModel):
    """How the agents speak, and how far an ask may go."""

    model_config = ConfigDict(extra="forbid")

    temperature: float | None = Field(default=None, ge=0, le=2)
    """Of every agent; otherwise each has its own."""
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    """Of one answer of one agent."""
    max_rounds: int = Field(default=_DEFAULT.max_rounds, ge=1, le=8)
    max_steps: int = Field(default=_DEFAULT.max_steps, ge=1, le=64)
    max_total_tokens: int | None = Field(default=None, ge=1)
    """Read and written by all agents together."""
    timeout_s: float = Field(default=_DEFAULT.timeout_s, gt=0, le=86_400)

    def limits(self) -> AskLimits:
        return AskLimits(
            self.max_rounds,
            self.max_steps,
            self.max_tokens,
            self.max_total_tokens,
            self.timeout_s,
        )


class AskRequest(BaseModel):
    """One question. Without ``session_id`` a new session is made; without ``model`` the default
    is asked."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"prompt": "Add 3 and 4, then name the capital of Japan."},
                {"prompt": "What is my name?", "mode": "single", "stream": True},
            ]
        },
    )

    prompt: Annotated[
        str,
        AfterValidator(_prompt),
        Field(json_schema_extra={"minLength": 1, "maxLength": MAX_PROMPT_CHARS}),
    ]
    session_id: Annotated[
        str | None,
        AfterValidator(_session_id),
        Field(json_schema_extra={"format": "uuid"}),
    ] = None
    model: str | None = Field(default=None, min_length=1, max_length=512)
    mode: Literal["team", "single", "auto"] = "auto"
    include_chain: bool = True
    stream: bool = False
    parameters: Parameters = Field(default_factory=Parameters)
