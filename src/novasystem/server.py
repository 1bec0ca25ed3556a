"""Runs the application: address, limits, and an orderly end."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog
import uvicorn

from novasystem import log
from novasystem.addresses import check_address
from novasystem.errors import EngineUnavailable
from novasystem.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Server", "run", "serve", "settle", "show_welcome", "url_of", "uvicorn_config"]

_log = structlog.get_logger(__name__)
_HEAD_S = 10.0
_BODY_S = 30.0
_KEEP_ALIVE_S = 30
_WELCOME = """
  NovaSystem answers at {url}
  Try it:   {url}/docs
  Stop it:  Ctrl-C

"""


class Server(uvicorn.Server):
    """Uvicorn's server, which lets open streams finish, and then ends them with a word."""

    def __init__(self, config: uvicorn.Config, drain_s: float) -> None:
        super().__init__(config)
        self._drain_s = drain_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle()
        if self.started:
            await self.announce()

    async def announce(self) -> None:
        """It listens now: say so."""
        url = url_of([sock for server in self.servers for sock in server.sockets])
        await _log.ainfo("listening", url=url, pid=os.getpid())
        show_welcome(url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = getattr(self.config.loaded_app, "state", None) or _app_state(self.config)
        state.draining = True
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain_s
        # A second signal sets a plain flag, which nothing can wait for.
        while len(state.streams) and loop.time() < until and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        state.streams.end(
            EngineUnavailable(
                "server", "The server is shutting down.", hint="Ask again once it is back."
            )
        )
        await super().shutdown(sockets)
        if self.force_exit:
            # Uvicorn leaves this out then; the engines are still to be ended in order.
            await self.lifespan.shutdown()


def settle() -> None:
    """Take what the start made out of the garbage collector's sight.

    It stays as long as the process does; looking through it again and again is a sixth of the
    cost of a request.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def _app_state(config: uvicorn.Config) -> Any:
    app = config.loaded_app
    while not hasattr(app, "state"):
        app = app.app
    return app.state


def url_of(sockets: Sequence[socket.socket]) -> str:
    """Where the first of them is reached."""
    host, port = sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def show_welcome(url: str) -> None:
    """For those who look on."""
    if sys.stderr.isatty():
        sys.stderr.write(_WELCOME.format(url=url))


def serve(settings: Settings, *, reload: bool = False, config: Path | None = None) -> int:
    """Serve until told to stop; returns the exit code.

    Raises ``ConfigurationError`` where the settings cannot be used.
    """
    check_address(settings)
    log.configure(settings.log_level, settings.log_format)
    if reload:
        return _serve_reloading(settings, config)
    from novasystem.app import create_app

    app = create_app(settings)
    return run(Server(uvicorn_config(app, settings), settings.shutdown_timeout_s))


def uvicorn_config(app: "FastAPI", settings: Settings) -> uvicorn.Config:
    """How uvicorn is used."""
    from novasystem.http.protocol import limited_protocol

    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=limited_protocol(head_s=_HEAD_S, body_s=_BODY_S, send_s=settings.send_timeout_s),
        ws="none",
        loop="auto",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        date_header=True,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        backlog=2048,
    )


def run(server: Server, sockets: list[socket.socket] | None = None) -> int:
    """Serve until told to stop, on ``sockets`` where they are given; returns the exit code.

    Raises what kept the application from starting.
    """
    config = server.config
    app = cast("FastAPI", config.app)
    # What kept the application from starting is told once, and not as a trace.
    logging.getLogger("uvicorn.error").addFilter(lambda _: app.state.failure is None)
    # Uvicorn raises the signal that ended it once more, which would end us with an error.
    signal.signal(signal.SIGTERM, _leave)
    try:
        server.run(sockets)
    except SystemExit as error:
        # Ours, or Uvicorn's, which has said what went wrong.
        if app.state.failure is not None:
            raise app.state.failure from None
        if error.code:
            hint = "Another program may use the port: choose one with --port."
            _log.error("could not listen", host=config.host, port=config.port, hint=hint)
        return 1 if error.code else 0
    if app.state.failure is not None:
        raise app.state.failure
    return 0 if server.started else 1


def _leave(_signal: int, _frame: object) -> None:
    raise SystemExit(0)


def _serve_reloading(settings: Settings, config: Path | None) -> int:
    """For those who change the code: uvicorn starts a process anew for each change.

    The process reads its settings itself, so what flags said is handed on in the environment.
    """
    os.environ["NOVA_HOST"] = settings.host
    os.environ["NOVA_PORT"] = str(settings.port)
    os.environ["NOVA_LOG_LEVEL"] = settings.log_level
    os.environ["NOVA_EMBEDDED"] = settings.embedded
    if config is not None:
        os.environ["NOVA_CONFIG"] = str(config)
    uvicorn.run(
        "novasystem.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        reload=True,
        reload_dirs=[str(Path(__file__).parent)],
        log_level=settings.log_level,
        ws="none",
        timeout_graceful_shutdown=5,
    )
    return 0
