"""The pages' static files: their addresses hold a hash of them all, so that browsers keep them."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, Request, Response

from novasystem.errors import NotFound

__all__ = ["router", "version"]

router = APIRouter(include_in_schema=False)

_FOLDER = Path(str(resources.files("novasystem.web") / "static"))
# No other file is given out, whatever lies there.
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
_FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    etag: str


@cache
def _files() -> dict[str, _File]:
    """Every file by its path below ``static``: few enough to be kept."""
    found = {}
    for path in sorted(_FOLDER.rglob("*")):
        media_type = _TYPES.get(path.suffix)
        if media_type is not None and path.is_file():
            body = path.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            found[path.relative_to(_FOLDER).as_posix()] = _File(body, media_type, etag)
    return found


@cache
def _packed(path: str) -> bytes:
    """Once for each file that is asked for: all of them together hold up the first page."""
    return gzip.compress(_files()[path].body, mtime=0)


@cache
def version() -> str:
    """Of all files together: modules import each other by relative paths, which keep it."""
    names = "".join(f"{name}{file.etag}" for name, file in _files().items())
    return hashlib.sha256(names.encode()).hexdigest()[:12]


@router.get("/static/{asked}/{path:path}")
async def static(request: Request, asked: str, path: str) -> Response:
    """One of another version is given out too, by a page of before an update; it is not kept."""
    file = _files().get(path)
    if file is None:
        raise NotFound("file", path[:200])
    headers = {
        "etag": file.etag,
        "vary": "accept-encoding",
        "cache-control": _FOR_GOOD if asked == version() else "no-cache",
    }
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    body = file.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = _packed(path), "gzip"
    return Response(body, headers=headers, media_type=file.media_type)


@router.get("/favicon.ico")
async def favicon(request: Request) -> Response:
    """Asked for by browsers that look at something other than a page."""
    return await static(request, "", "favicon.svg")
