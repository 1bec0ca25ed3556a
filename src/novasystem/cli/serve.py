"""``nova serve``: the server, in this process, until it is stopped."""

import gc
import os
from typing import Annotated, Literal

import typer

from novasystem.cli.failures import traced
from novasystem.cli.options import Config, LogLevel
from novasystem.errors import ConfigurationError
from novasystem.serving.imports import import_aiohttp, import_fastapi, import_structlog

__all__ = ["serve"]


def serve(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Where to listen (default 127.0.0.1). Beyond this machine it needs NOVA_API_KEYS.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65535, help="Default 8000; 0 takes any that is free."
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart when the source changes: for development.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=64,
            help="Processes that answer (default 1). More than one needs PostgreSQL: "
            "NOVA_DATABASE_URL.",
        ),
    ] = None,
    embedded: Annotated[
        Literal["on", "lazy", "off"] | None,
        typer.Option(
            metavar="WHEN",
            help="The model that comes along: on (starts with the server), lazy (on first use), "
            "off.",
        ),
    ] = None,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Start the server."""
    # What the start makes stays: to look through it for garbage is a quarter of its time.
    # The server switches this on again.
    gc.disable()
    # Nor does pydantic look for plugins among all that is installed; a value set before wins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    import_structlog()
    import_fastapi()
    from novasystem.settings import load_settings

    settings = load_settings(
        config=config,
        host=host,
        port=port,
        workers=workers,
        log_level=log_level,
        embedded=embedded,
    )
    import_aiohttp(settings)
    with traced(settings.log_level):
        if settings.workers > 1:
            if reload:
                raise ConfigurationError(
                    "--reload starts one process anew for each change, and --workers several.",
                    hint="Leave out one of the two (NOVA_WORKERS counts as well).",
                )
            from novasystem.serving.parent import serve_together

            code = serve_together(settings)
        else:
            from novasystem import server

            code = server.serve(settings, reload=reload, config=config)
    raise typer.Exit(code)
