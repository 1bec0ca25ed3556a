"""``nova models``: what can be asked, over all engines."""

from novasystem.cli.options import Config, Json, LogLevel

__all__ = ["models"]


def models(json: Json = False, config: Config = None, log_level: LogLevel = None) -> None:
    """List the models that answer now."""
    from novasystem.cli.catalogue import look
    from novasystem.cli.session import opened, run

    run(opened(config, log_level), lambda registry: look(registry, as_json=json))
