"""Libraries that a server takes in a lighter form than they come in by themselves."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from novasystem.settings import Settings

__all__ = ["import_aiohttp", "import_fastapi", "import_structlog"]


def import_structlog() -> None:
    """Without rich, which it takes along where it finds it: 3 MB for tracebacks that are drawn
    otherwise here."""
    known = sys.modules.get("rich")
    sys.modules["rich"] = None  # type: ignore[assignment]  # so that importing it fails
    try:
        import structlog  # noqa: F401
    finally:
        if known is None:
            del sys.modules["rich"]
        else:
            sys.modules["rich"] = known


def import_fastapi() -> None:
    """Its models of OpenAPI, a large part of what importing it costs, are built when /docs is asked
    for."""
    from pydantic import BaseModel

    BaseModel.model_config["defer_build"] = True
    try:
        import fastapi  # noqa: F401
    finally:
        del BaseModel.model_config["defer_build"]


def import_aiohttp(settings: "Settings") -> None:
    """Where no engine is asked over TLS, without the certificates of the world's authorities, which
    it reads when it is imported."""
    named = f"{settings.model_dump()} {os.environ.get('OLLAMA_HOST', '')}".casefold()
    nowhere = (
        {} if "https:" in named else dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR"), os.devnull)
    )
    with _environment(nowhere):
        import aiohttp  # noqa: F401


@contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    known = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in known.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
