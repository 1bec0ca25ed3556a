"""Everything that can go wrong, as one tree.

::

    NovaError
    ├── ConfigurationError              the settings cannot be used as they are
    ├── InvalidRequest                  the request cannot be carried out as asked
    │   ├── UnsupportedParameter        ... because of one parameter, named in ``param``
    │   └── ContextLengthExceeded       ... because it does not fit the model's window
    ├── MalformedRequest                the request does not fit the schema
    │   └── MessageTooLong              ... because its text is over the limit
    ├── BodyTooLarge                    the request's body is over the limit
    ├── Forbidden                       the request comes from where none may come
    ├── Unauthenticated                 a key is needed, or the one given is unknown
    ├── ModelNotFound                   no engine has a model of that name
    ├── NotFound                        there is no such thing, or it is another owner's
    ├── ThreadBusy                      another run holds the thread
    ├── IllegalTransition               a run cannot get from its status to the one asked for
    ├── RunFailed                       a run ended with an error; ``code`` says which
    ├── FencedOut                       another executor has taken the run over
    ├── ToolFailed                      a tool could not do what an agent asked of it
    ├── CallInterrupted                 whether a call was made is unknown; it is not repeated
    ├── Overloaded                      the queue before an engine or a thread is full
    ├── StorageUnavailable              the database cannot be reached or written
    │   └── StorageFull                 ... because there is no room left
    └── EngineError                     an engine failed; ``engine`` says which
        ├── EngineUnavailable           it cannot be reached, or died
        ├── EngineTimeout               it kept silent for too long; ``limit`` says which limit
        ├── EngineRejected              it answered with an error; ``status`` is its own
        └── EngineProtocolError         it sent what cannot be understood, or broke off

No status code stands here: each edge has one mapping of its own. ``message`` says what failed
and where, ``hint`` what to try; both are safe to show to the user.
"""

from typing import Literal

__all__ = [
    "BodyTooLarge",
    "CallInterrupted",
    "ConfigurationError",
    "ContextLengthExceeded",
    "EngineError",
    "EngineProtocolError",
    "EngineRejected",
    "EngineTimeout",
    "EngineUnavailable",
    "FencedOut",
    "Forbidden",
    "IllegalTransition",
    "InvalidRequest",
    "MalformedRequest",
    "MessageTooLong",
    "ModelNotFound",
    "NotFound",
    "NovaError",
    "Overloaded",
    "RunFailed",
    "StorageFull",
    "StorageUnavailable",
    "ThreadBusy",
    "TimeLimit",
    "ToolFailed",
    "Unauthenticated",
    "UnsupportedParameter",
]

TimeLimit = Literal["connect", "first_token", "between_tokens", "total"]


class NovaError(Exception):
    """Root of the tree."""

    code: str = "internal_error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        end = "" if not self.hint or self.message.endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{end} {self.hint}".strip()


class ConfigurationError(NovaError):
    code = "configuration_error"


class InvalidRequest(NovaError):
    code = "invalid_request"

    def __init__(self, message: str, *, hint: str = "", param: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.param = param


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"

    def __init__(self, param: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"'{param}' cannot be honoured: {reason}", hint=hint, param=param)


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class MalformedRequest(NovaError):
    code = "validation_error"

    def __init__(self, message: str, *, hint: str = "", param: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.param = param


class MessageTooLong(MalformedRequest):
    code = "message_too_long"


class BodyTooLarge(NovaError):
    code = "body_too_large"


class Forbidden(NovaError):
    code = "forbidden"


class Unauthenticated(NovaError):
    code = "invalid_api_key"


class ModelNotFound(NovaError):
    code = "model_not_found"

    def __init__(self, model: str, known: list[str], *, hint: str = "") -> None:
        if not hint:
            shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
            hint = f"Models that answer now: {shown}." if known else "No engine has any model."
        super().__init__(f"No model named '{model}' was found.", hint=hint)
        self.model = model


class NotFound(NovaError):
    """``param`` is the name under which the request named it."""

    code = "not_found"

    def __init__(self, what: str, shown_id: str, *, param: str | None = None) -> None:
        super().__init__(f"No {what} found with id '{shown_id[:80]}'.")
        self.param = param


class ThreadBusy(NovaError):
    """``run_id``: the run that holds the thread ``thread_id``."""

    code = "thread_busy"

    def __init__(self, thread_id: str, run_id: str) -> None:
        super().__init__(
            f"Thread '{thread_id}' already has an active run '{run_id}'.",
            hint="Wait for its end, submit what it asks for, or cancel it.",
        )
        self.thread_id = thread_id
        self.run_id = run_id


class IllegalTransition(NovaError):
    code = "illegal_transition"

    def __init__(self, run_id: str, before: str, after: str) -> None:
        super().__init__(f"Run '{run_id}' is {before} and cannot become {after}.")
        self.before = before
        self.after = after


class FencedOut(NovaError):
    """Raised to an executor whose lease is over: nothing that it writes counts any more."""

    code = "fenced_out"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"Run '{run_id}' is carried out by another executor now.")


class RunFailed(NovaError):
    """What a stored error says, where the error itself was raised elsewhere or long ago.

    ``seq``: the number of the event that says so in the run's log, where it is known.
    """

    def __init__(self, code: str, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.seq = seq


class CallInterrupted(NovaError):
    code = "call_interrupted"

    def __init__(self, run_id: str, name: str) -> None:
        super().__init__(
            f"The call '{name}' of run '{run_id}' was interrupted, and may have had its effect.",
            hint="It is not repeated by itself. Look whether it had, and start a new run.",
        )


class ToolFailed(NovaError):
    """``tool``: its name; the message says why in words that a model can make use of."""

    code = "tool_failed"

    def __init__(self, tool: str, why: str, *, hint: str = "") -> None:
        super().__init__(f"The tool '{tool}' failed: {why}", hint=hint)
        self.tool = tool


class StorageUnavailable(NovaError):
    code = "storage_unavailable"


class StorageFull(StorageUnavailable):
    code = "storage_full"


class Overloaded(NovaError):
    code = "overloaded"

    def __init__(self, message: str, *, hint: str = "", retry_after_s: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class EngineError(NovaError):
    code = "engine_error"

    def __init__(self, engine: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.engine = engine


class EngineUnavailable(EngineError):
    """``reached``: whether a request may have got there, so that another try might repeat it."""

    code = "engine_unavailable"

    def __init__(self, engine: str, message: str, *, hint: str = "", reached: bool = True) -> None:
        super().__init__(engine, message, hint=hint)
        self.reached = reached


class EngineTimeout(EngineError):
    code = "engine_timeout"

    def __init__(self, engine: str, limit: TimeLimit, limit_s: float, *, where: str = "") -> None:
        said = {
            "connect": "did not accept a connection",
            "first_token": "sent no first token",
            "between_tokens": "sent no further token",
            "total": "was not done",
        }[limit]
        at = f" at {where}" if where else ""
        super().__init__(
            engine,
            f"Engine '{engine}'{at} {said} within {limit_s:g} s.",
            hint=f"Raise the limit '{limit}_timeout_s', or use a smaller model or prompt.",
        )
        self.limit = limit


class EngineRejected(EngineError):
    code = "engine_rejected"

    def __init__(self, engine: str, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(engine, message, hint=hint)
        self.status = status


class EngineProtocolError(EngineError):
    code = "engine_protocol_error"
