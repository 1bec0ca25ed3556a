"""A view and a template make a page. Templates are loaded by the first page that is asked for."""

import gzip
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response

from novasystem import __version__
from novasystem.web.assets import version

if TYPE_CHECKING:
    from jinja2 import Environment, Template

__all__ = ["POLICY", "asked_for_part", "prepare", "render", "render_block"]

# No script and no style but our files', nothing from elsewhere, and no frame around it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_PACKED_FROM = 1024


@dataclass(frozen=True, slots=True)
class _Entry:
    label: str
    path: str
    here: bool


_ENTRIES = (
    ("Benchmarks", "/"),
    ("History", "/history"),
    ("Chat", "/chat"),
    ("Ask", "/ask"),
    ("Assistants", "/assistants"),
    ("System", "/system"),
)


def prepare() -> None:
    """Load what draws pages: for a thread, as it would hold up an event loop."""
    version()
    _template("benchmarks.html")


def render(request: Request, name: str, view: object = None, *, status: int = 200) -> Response:
    """The whole page ``name``; the template sees ``view`` and what the layout needs."""
    return _answer(request, _template(name).render(_context(request, view)), status)


def render_block(request: Request, name: str, block: str, view: object = None) -> Response:
    """One named block of the page ``name``, to be put into a page that is open already."""
    template = _template(name)
    context = template.new_context(_context(request, view))
    return _answer(request, "".join(template.blocks[block](context)), 200)


def asked_for_part(request: Request) -> bool:
    """Whether an open page asks for a block; going back through history wants the whole."""
    headers = request.headers
    return "hx-request" in headers and "hx-history-restore-request" not in headers


def _answer(request: Request, text: str, status: int) -> Response:
    body = text.encode("utf-8", "replace")
    headers = {
        "content-security-policy": POLICY,
        # What it shows is somebody's, and old at once.
        "cache-control": "no-store",
        "vary": "accept-encoding, hx-request",
    }
    if len(body) >= _PACKED_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 5, mtime=0)
        headers["content-encoding"] = "gzip"
    return Response(body, status, headers, "text/html; charset=utf-8")


def _context(request: Request, view: object) -> dict[str, Any]:
    root = request.scope.get("root_path", "").rstrip("/")
    path = request.scope["path"]
    current = max((at for _, at in _ENTRIES if _lies_below(path, at)), key=len, default="")
    if path.startswith(("/benchmarks", "/api/benchmarks")):
        current = "/"
    return {
        "view": view,
        "root": root,
        "url": lambda target: f"{root}{target}",
        "asset": lambda name: f"{root}/static/{version()}/{name}",
        "entries": [_Entry(label, at, at == current) for label, at in _ENTRIES],
        "version": __version__,
        "has_session": request.scope.get("nova.session", False),
    }


def _lies_below(path: str, page: str) -> bool:
    return path == page or (page != "/" and path.startswith(f"{page}/"))


def _template(name: str) -> "Template":
    return _environment().get_template(name)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("novasystem.web", "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
