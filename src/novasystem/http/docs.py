"""``/docs`` and ``/redoc`` from files in the package: FastAPI's own pages load from elsewhere."""

from importlib import resources
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

__all__ = ["install"]

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


def install(app: FastAPI) -> None:
    """Add both pages and their files to ``app``."""

    async def swagger() -> HTMLResponse:
        return HTMLResponse(_SWAGGER, headers={"content-security-policy": _POLICY})

    async def redoc() -> HTMLResponse:
        return HTMLResponse(_REDOC, headers={"content-security-policy": _POLICY})

    app.add_api_route("/docs", swagger, include_in_schema=False)
    app.add_api_route("/redoc", redoc, include_in_schema=False)
    folder = Path(str(resources.files("novasystem") / "http" / "static"))
    files = StaticFiles(directory=folder)

    async def asset(request: Request, name: str) -> Response:
        return await files.get_response(name, request.scope)

    # A route: a mount cannot be found behind a proxy that takes its prefix out of the path.
    app.add_api_route("/docs-assets/{name}", asset, include_in_schema=False)
