"""One worker: a whole server on its parent's address. Run as ``python -m
novasystem.serving.worker`` by the parent alone."""

import gc
import os
import signal
import socket
import sys

import orjson
import structlog
import uvicorn

from novasystem import log
from novasystem.errors import NovaError
from novasystem.serving.imports import import_aiohttp, import_fastapi
from novasystem.serving.link import Link
from novasystem.serving.words import lines
from novasystem.settings import Settings

__all__ = ["main"]

_log = structlog.get_logger(__name__)


def main() -> int:
    # As in ``nova serve``: the server switches it on again.
    gc.disable()
    # Until the server listens to signals; the parent says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heard = lines(0)
    given = orjson.loads(next(heard))
    # Whatever prints is led to the log: standard output is the pipe to the parent.
    words = os.dup(1)
    os.dup2(2, 1)
    settings = Settings.model_validate(given["settings"])
    log.configure(settings.log_level, settings.log_format, pid=True)
    link = Link(heard, words, given["children"])
    sockets = [socket.socket(fileno=descriptor) for descriptor in given["sockets"]]
    try:
        return _serve(settings, link, sockets)
    except NovaError as error:
        said = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
        link.say({"failed": said})
        return 1


def _serve(settings: Settings, link: Link, sockets: list[socket.socket]) -> int:
    import_fastapi()
    import_aiohttp(settings)
    from novasystem.app import create_app
    from novasystem.server import Server, run, uvicorn_config

    class WorkerServer(Server):
        """Ends where the parent says so, or is gone; tells it when it listens."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            link.open(self._end)
            await super().startup(sockets)

        async def announce(self) -> None:
            link.say({"listening": True})
            await _log.ainfo("a worker listens")

        def _end(self, at_once: bool) -> None:
            self.should_exit = True
            self.force_exit = self.force_exit or at_once

    config: uvicorn.Config = uvicorn_config(create_app(settings, link.keepers), settings)
    return run(WorkerServer(config, settings.shutdown_timeout_s), sockets)


if __name__ == "__main__":
    sys.exit(main())
