"""``nova doctor``: what was found, what is missing, and what to do about it."""

import typer

from novasystem.cli.options import Config, Json, LogLevel

__all__ = ["doctor"]


def doctor(json: Json = False, config: Config = None, log_level: LogLevel = None) -> None:
    """Find out what is missing, and what to do about it."""
    from novasystem.cli.diagnosis import examine

    if not examine(config, log_level, as_json=json):
        raise typer.Exit(1)
