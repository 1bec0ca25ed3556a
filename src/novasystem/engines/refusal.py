"""Saying no: before an engine is asked, and where it refuses."""

from novasystem.engines.protocol import Capabilities
from novasystem.engines.requests import GenerateRequest
from novasystem.errors import (
    ContextLengthExceeded,
    EngineRejected,
    InvalidRequest,
    ModelNotFound,
    NovaError,
    Overloaded,
    UnsupportedParameter,
)

__all__ = ["check", "refused"]


def check(engine: str, request: GenerateRequest, capabilities: Capabilities) -> None:
    """Raise ``UnsupportedParameter`` for the first thing asked for that would be dropped."""
    for name in request.sampling.given():
        if name not in capabilities.sampling:
            raise UnsupportedParameter(name, f"engine '{engine}' does not take it")
    for name in request.options:
        if name not in capabilities.options:
            raise UnsupportedParameter(name, f"engine '{engine}' does not take it")
    if request.json_output is not None and not capabilities.json_schema:
        raise UnsupportedParameter(
            "response_format", f"engine '{engine}' cannot constrain its output"
        )
    # Not to think is what a model without reasoning does anyway.
    if request.think not in {None, False} and not capabilities.reasoning_switch:
        raise UnsupportedParameter(
            "think", f"'{request.model}' on engine '{engine}' has no reasoning to switch on"
        )


# Ollama answers 500 to what is wrong with a request.
_OWN_FAULT = ('option "', "invalid format", "invalid json schema")
_CONTEXT = ("context size", "context length", "context window", "exceeds the available context")


def refused(error: EngineRejected, model: str) -> NovaError:
    """The engine's refusal as what it means for the caller."""
    said = error.message.casefold()
    if error.status in {400, 413, 422, 500} and any(words in said for words in _CONTEXT):
        return ContextLengthExceeded(
            error.message,
            hint="Shorten the conversation, or use a model with a larger context window.",
        )
    if error.status == 404 and "model" in said:
        return ModelNotFound(model, [], hint=error.message)
    if error.status in {429, 503}:
        return Overloaded(error.message, hint="Try again shortly.", retry_after_s=2)
    if error.status in {400, 422} or any(words in said for words in _OWN_FAULT):
        return InvalidRequest(error.message, hint="The engine could not do what was asked.")
    return error
