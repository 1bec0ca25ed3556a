"""Libraries that a server takes in a lighter form than they come in by themselves."""

import sys

__all__ = ["import_fastapi", "import_structlog"]


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
    """Its models of OpenAPI, a third of what importing it costs, are built when /docs is asked
    for."""
    from pydantic import BaseModel

    BaseModel.model_config["defer_build"] = True
    try:
        import fastapi  # noqa: F401
    finally:
        del BaseModel.model_config["defer_build"]
