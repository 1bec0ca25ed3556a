"""Errors as a page, for whoever looks with a browser."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from novasystem.errors import NovaError, Unauthenticated
from novasystem.http.errors import status_of
from novasystem.unexpected import InternalError
from novasystem.web.rendering import render

__all__ = ["error_page"]


@dataclass(frozen=True, slots=True)
class ErrorView:
    status: int
    title: str
    message: str
    hint: str
    request_id: str


_TITLES = {
    404: "There is nothing here",
    401: "A key is needed",
    403: "This is not allowed",
    503: "This does not answer now",
}


def error_page(request: Request, error: NovaError) -> Response:
    """What happened and what to try, with the id under which the log has it."""
    if isinstance(error, Unauthenticated):
        return _to_login(request)
    status = status_of(error)
    title = _TITLES.get(status)
    if title is None:
        title = "Something went wrong" if status >= 500 else HTTPStatus(status).phrase
    # Of what nobody foresaw, the message itself names the id.
    foreseen = error.code != InternalError.code
    request_id = request.scope.get("nova.request_id", "") if foreseen else ""
    view = ErrorView(status, title, error.message, error.hint, request_id)
    return render(request, "error.html", view, status=status)


def _to_login(request: Request) -> Response:
    """And from there back to where it wanted to go."""
    query = request.scope["query_string"].decode("latin-1")
    wanted = quote(request.scope["path"] + (f"?{query}" if query else ""), safe="")
    root = request.scope.get("root_path", "").rstrip("/")
    headers = {"cache-control": "no-store"}
    return RedirectResponse(f"{root}/login?next={wanted}", 303, headers)
