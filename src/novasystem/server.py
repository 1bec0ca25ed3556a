"""Runs the application: address, limits, and an orderly end."""

import asyncio
import gc
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from novasystem import log
from novasystem.addresses import check_address
from novasystem.errors import EngineUnavailable
from novasystem.settings import Settings

__all__ = ["serve"]

_log = structlog.get_logger(__name__)
_HEAD_S = 10.0
_BODY_S = 30.0
_KEEP_ALIVE_S = 30
_WELCOME = """
  NovaSystem answers at {url}
  Try it:   {url}/docs
  Stop it:  Ctrl-C

"""


class _Server(uvicorn.Server):
    """Uvicorn's server, which lets open streams finish, and then ends them with a word."""

    def __init__(self, config: uvicorn.Config, drain_s: float) -> None:
        super().__init__(config)
        self._drain_s = drain_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settle()
        if self.started:
            host, port = _bound(self)
            url = f"http://{host}:{port}"
            await _log.ainfo("listening", url=url, pid=os.getpid())
            if sys.stderr.isatty():
                sys.stderr.write(_WELCOME.format(url=url))

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


def _bound(server: uvicorn.Server) -> tuple[str, int]:
    for one in server.servers:
        for sock in one.sockets:
            name = sock.getsockname()
            host = f"[{name[0]}]" if ":" in name[0] else name[0]
            return host, name[1]
    return server.config.host, server.config.port


def serve(settings: Settings, *, reload: bool = False, config: Path | None = None) -> int:
    """Serve until told to stop; returns the exit code.

    Raises ``ConfigurationError`` where the settings cannot be used.
    """
    check_address(settings)
    log.configure(settings.log_level, settings.log_format)
    if reload:
        return _serve_reloading(settings, config)
    from novasystem.app import create_app
    from novasystem.http.protocol import limited_protocol

    protocol = limited_protocol(head_s=_HEAD_S, body_s=_BODY_S, send_s=settings.send_timeout_s)
    app = create_app(settings)
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=protocol,
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
        ),
        settings.shutdown_timeout_s,
    )
    # Uvicorn raises the signal that ended it once more, which would end us with an error.
    signal.signal(signal.SIGTERM, _leave)
    try:
        server.run()
    except SystemExit as error:
        # Ours, or Uvicorn's, which has said what went wrong.
        if app.state.failure is not None:
            raise app.state.failure from None
        if error.code:
            hint = "Another program may use the port: choose one with --port."
            _log.error("could not listen", host=settings.host, port=settings.port, hint=hint)
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
