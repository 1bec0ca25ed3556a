"""``/docs`` and ``/redoc`` from files in the package: FastAPI's own pages load from elsewhere."""

from importlib import resources
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from starlette.routing import Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

__all__ = ["routes"]

# Both tools write style attributes and elements by script; nothing else that is inline may run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self' data:; worker-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>NovaSystem API</title>
<link rel="icon" href="data:,">
<style>body {{ margin: 0 }}</style>
{links}
<div id="page"></div>
{scripts}
</html>
"""


def _page(styles: list[str], scripts: list[str]) -> str:
    return _PAGE.format(
        links="\n".join(f'<link rel="stylesheet" href="docs-assets/{name}">' for name in styles),
        scripts="\n".join(f'<script src="docs-assets/{name}"></script>' for name in scripts),
    )


_SWAGGER = _page(["swagger-ui.css"], ["swagger-ui-bundle.js", "swagger-init.js"])
_REDOC = _page([], ["redoc.standalone.js", "redoc-init.js"])


class _Named(Route):
    """Found by its path in the metrics, as FastAPI's own routes are."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, more = super().matches(scope)
        return match, {**more, "route": self}


def routes() -> list[Route]:
    """Both pages and their files."""

    async def swagger(_request: Request) -> HTMLResponse:
        return HTMLResponse(_SWAGGER, headers={"content-security-policy": _POLICY})

    async def redoc(_request: Request) -> HTMLResponse:
        return HTMLResponse(_REDOC, headers={"content-security-policy": _POLICY})

    folder = Path(str(resources.files("novasystem") / "http" / "static"))
    files = StaticFiles(directory=folder)

    async def asset(request: Request) -> Response:
        return await files.get_response(request.path_params["name"], request.scope)

    # No mount, which cannot be found behind a proxy that takes its prefix out of the path.
    return [
        _Named("/docs", swagger),
        _Named("/redoc", redoc),
        _Named("/docs-assets/{name}", asset),
    ]
