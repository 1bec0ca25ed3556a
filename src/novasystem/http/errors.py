"""Errors as HTTP: one table of status codes, and the body that each door promises.

``/v1`` answers with OpenAI's envelope, the chat door with ``{code, message}``, everything else
under ``/api`` and beside it with ``{detail, code, hint}``.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from novasystem.errors import (
    BodyTooLarge,
    ConfigurationError,
    EngineProtocolError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
    Forbidden,
    IllegalTransition,
    InvalidRequest,
    MalformedRequest,
    MessageTooLong,
    ModelNotFound,
    NotFound,
    NovaError,
    Overloaded,
    RunFailed,
    StorageFull,
    StorageUnavailable,
    ThreadBusy,
    ToolFailed,
    Unauthenticated,
)
from novasystem.unexpected import InternalError, as_nova_error

__all__ = ["answer_error", "error_response", "install", "malformed", "openai_error", "status_of"]

CHAT_PATH = "/api/v1/chat"
_DOORS = ("/v1/", "/api/", "/static/")
# The older address of the page of benchmarks.
_PAGES = {"/api/benchmarks", "/api/benchmarks/"}

_STATUS: dict[type[NovaError], int] = {
    InvalidRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    IllegalTransition: 400,
    ThreadBusy: 400,
    ModelNotFound: 404,
    NotFound: 404,
    BodyTooLarge: 413,
    MalformedRequest: 422,
    Overloaded: 429,
    ConfigurationError: 500,
    EngineProtocolError: 502,
    EngineRejected: 502,
    ToolFailed: 502,
    EngineUnavailable: 503,
    StorageUnavailable: 503,
    StorageFull: 507,
    EngineTimeout: 504,
}


_BY_CODE = {kind.code: status for kind, status in _STATUS.items()}
_BY_CODE |= {"unsupported_parameter": 400, "context_length_exceeded": 400}
# Ends of a run that are no error's own.
_BY_CODE |= {"interrupted": 503, "cancelled": 503, "expired": 504, "run_gone": 503}


class HttpError(NovaError):
    """An error of HTTP itself, such as a path or a method that does not exist."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = HTTPStatus(status).phrase.lower().replace(" ", "_")


def status_of(error: NovaError) -> int:
    """The status code of the nearest class in the table."""
    if isinstance(error, HttpError):
        return error.status
    if isinstance(error, RunFailed):
        return _BY_CODE.get(error.code, 500)
    return next((_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS), 500)


def openai_error(error: NovaError) -> dict[str, Any]:
    """OpenAI's envelope: ``{error: {message, type, param, code}}``."""
    status = status_of(error)
    kind = "invalid_request_error" if status < 500 else "server_error"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        kind = "rate_limit_error"
    return {
        "error": {
            "message": str(error),
            "type": kind,
            "param": getattr(error, "param", None),
            "code": error.code,
        }
    }


def chat_error(error: NovaError, *, streaming: bool = False) -> dict[str, str]:
    """The chat door's ``{code, message}``, with one of its five codes."""
    if isinstance(error, MessageTooLong):
        code = "message_too_long"
    elif status_of(error) < 500 and status_of(error) != HTTPStatus.TOO_MANY_REQUESTS:
        code = "validation_error"
    elif error.code == InternalError.code:
        code = "internal_error"
    else:
        code = "stream_error" if streaming else "processing_error"
    return {"code": code, "message": str(error)}


def error_response(path: str, error: NovaError) -> Response:
    """``error`` in the form that the door at ``path`` promises."""
    body: dict[str, Any]
    if path == "/v1" or path.startswith("/v1/"):
        body = openai_error(error)
    elif path == CHAT_PATH or path.startswith(f"{CHAT_PATH}/"):
        body = dict(chat_error(error))
    else:
        body = {"detail": error.message, "code": error.code, "hint": error.hint}
    headers = {}
    if status_of(error) == HTTPStatus.TOO_MANY_REQUESTS:
        headers["retry-after"] = str(getattr(error, "retry_after_s", 1))
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    return Response(
        orjson.dumps(body),
        status_code=status_of(error),
        headers=headers,
        media_type="application/json",
    )


def answer_error(scope: Scope, error: NovaError) -> Response:
    """``error`` as whoever asked can read it: a page for a browser outside of the APIs, otherwise
    as :func:`error_response` has it."""
    path: str = scope["path"]
    state = scope["app"].state if "app" in scope else None
    page: Callable[[Request, NovaError], Response] | None = getattr(state, "error_page", None)
    if page is None or scope["method"] not in {"GET", "HEAD"}:
        return error_response(path, error)
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    if b"text/html" not in accepted or (path.startswith(_DOORS) and path not in _PAGES):
        return error_response(path, error)
    answered: Response = page(Request(scope), error)
    return answered


def install(app: FastAPI) -> None:
    """Give ``app`` this mapping; what nobody foresaw is answered by ``Observe``."""

    async def on_nova(request: Request, error: Exception) -> Response:
        said = as_nova_error(error)
        request.scope["nova.error_code"] = said.code
        return answer_error(request.scope, said)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return await on_nova(request, malformed(error.errors()))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = await on_nova(request, _http_error(error, request))
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(NovaError, on_nova)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _http_error(error: HTTPException, request: Request) -> NovaError:
    path = request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        return HttpError(404, f"There is nothing at {path}. /docs lists what there is.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return HttpError(405, f"{path} does not take {request.method}.")
    return HttpError(error.status_code, str(error.detail))


def malformed(errors: Sequence[Mapping[str, Any]]) -> MalformedRequest:
    """The first thing that is wrong with a request, as one sentence that names the field."""
    first = errors[0]
    where = [str(part) for part in first["loc"] if part not in {"query", "path"}]
    name = ".".join(where)
    reason = first["msg"].removeprefix("Value error, ")
    kind = MessageTooLong if first["type"] == "message_too_long" else MalformedRequest
    said = f"'{name}': {reason}" if name else reason
    return kind(said if said.endswith(".") else f"{said}.", param=name or None)
