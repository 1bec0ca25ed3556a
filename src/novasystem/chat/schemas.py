"""What ``POST /api/v1/chat`` takes."""

import re
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from novasystem.chat.records import Options
from novasystem.engines.requests import Sampling
from novasystem.errors import MalformedRequest
from novasystem.wire.schemas import Probability, Temperature

__all__ = [
    "BODIES",
    "MAX_MESSAGE_CHARS",
    "MAX_TITLE_CHARS",
    "ChatRequest",
    "ConversationUpdate",
    "conversation_uuid",
]

MAX_MESSAGE_CHARS = 10_000
MAX_TITLE_CHARS = 120
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _message(text: str) -> str:
    if len(text) > MAX_MESSAGE_CHARS:
        raise PydanticCustomError(
            "message_too_long",
            "A message has at most {limit} characters; this one has {length}.",
            {"limit": MAX_MESSAGE_CHARS, "length": len(text)},
        )
    if not text.strip():
        raise PydanticCustomError("message_empty", "A message is not empty or only white space.")
    return text


def _conversation_id(text: str) -> str:
    # Python's own reader takes hyphens and braces anywhere.
    if not _UUID.fullmatch(text):
        raise PydanticCustomError("not_a_uuid", "This is not a UUID.")
    return text


def conversation_uuid(text: str) -> UUID:
    """The UUID of a conversation; raises ``MalformedRequest`` where it is none."""
    if not _UUID.fullmatch(text):
        msg = f"'{text[:80]}' is not a UUID, which conversations are named by."
        raise MalformedRequest(msg, param="conversation_id")
    return UUID(text)


class ChatRequest(BaseModel):
    """One turn. Without ``conversation_id`` a new one is made; without ``model`` the default is
    asked. All else is optional and holds for this turn alone."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"message": "What is 2+3?"},
                {
                    "message": "Tell me a short story.",
                    "conversation_id": "6f1c1f5e-0a4b-4d0e-9d3c-6b1f0e0f5a11",
                    "model": "nova-tiny",
                    "temperature": 0.2,
                },
            ]
        },
    )

    message: Annotated[
        str,
        AfterValidator(_message),
        Field(json_schema_extra={"minLength": 1, "maxLength": MAX_MESSAGE_CHARS}),
    ]
    conversation_id: Annotated[
        str | None,
        AfterValidator(lambda text: None if text is None else _conversation_id(text)),
        Field(json_schema_extra={"format": "uuid"}),
    ] = None
    model: str | None = Field(default=None, min_length=1, max_length=512)
    system: str | None = Field(default=None, max_length=32_000)
    """What the model is told before the conversation."""
    temperature: Temperature | None = None
    top_p: Probability | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000_000)
    instead_of: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """A message of the user's: it, and all that came after it, make room for this turn."""

    def options(self) -> Options:
        sampling = Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            max_tokens=self.max_tokens,
        )
        return Options(self.system or None, sampling, self.instead_of)


class ConversationUpdate(BaseModel):
    """A conversation's name; ``null``, or nothing but white space, for how it begins."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"title": "Sums"}]})

    title: str | None = Field(max_length=MAX_TITLE_CHARS)


BODIES: tuple[type[BaseModel], ...] = (ChatRequest, ConversationUpdate)
"""All that a route takes."""
