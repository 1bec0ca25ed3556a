"""The parent: binds the address, and has N workers answer there."""

import asyncio
import os
import signal
import socket
import sys
from functools import partial

import structlog

from novasystem import log
from novasystem.addresses import check_address
from novasystem.engines.kinds import embedded_children
from novasystem.errors import ConfigurationError
from novasystem.serving.crew import Crew
from novasystem.settings import Settings

__all__ = ["serve_together"]

_log = structlog.get_logger(__name__)


def serve_together(settings: Settings) -> int:
    """Serve with ``settings.workers`` processes until told to stop; returns the exit code.

    Raises ``ConfigurationError`` where the settings cannot be used, and what kept the workers from
    starting.
    """
    check_address(settings)
    _check(settings)
    log.configure(settings.log_level, settings.log_format, pid=True)
    return asyncio.run(_serve(settings))


def _check(settings: Settings) -> None:
    if sys.platform == "win32":
        raise ConfigurationError(
            "Several workers share one socket, which Windows does not do.",
            hint="Serve with one: leave out --workers.",
        )
    url = settings.database_url
    if url is None or url.get_secret_value().startswith("sqlite"):
        raise ConfigurationError(
            f"{settings.workers} workers need PostgreSQL: an SQLite file is for one process alone.",
            hint="Set NOVA_DATABASE_URL=postgresql://USER@HOST/DATABASE, or leave out --workers.",
        )


async def _serve(settings: Settings) -> int:
    for variable in settings.unknown_variables:
        await _log.awarning("this variable means nothing", variable=variable)
    children = embedded_children(settings)
    try:
        sockets = await _bound(settings)
    except OSError as error:
        hint = "Another program may use the port: choose one with --port."
        await _log.aerror("could not listen", error=str(error), hint=hint)
        return 1
    crew = Crew(settings, sockets, children)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, partial(_told_to_end, crew, number))
    telling = asyncio.create_task(_tell(crew, sockets, settings.workers))
    try:
        await crew.run()
    finally:
        telling.cancel()
    if crew.failure is not None:
        raise crew.failure
    return 0


def _told_to_end(crew: Crew, number: signal.Signals) -> None:
    # As with one process: a second Ctrl-C does not wait for streams.
    crew.end(at_once=crew.ending and number == signal.SIGINT)


async def _bound(settings: Settings) -> list[socket.socket]:
    """Sockets that are bound and do not listen yet: the first worker sees to that."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        asyncio.Protocol, settings.host, settings.port, start_serving=False
    )
    sockets = [sock.dup() for sock in server.sockets]
    server.close()
    return sockets


async def _tell(crew: Crew, sockets: list[socket.socket], workers: int) -> None:
    from novasystem.server import settle, show_welcome, url_of

    url = url_of(sockets)
    await crew.listening.wait()
    settle()
    await _log.ainfo("listening", url=url, pid=os.getpid(), workers=workers)
    show_welcome(url)
