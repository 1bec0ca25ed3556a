"""A server that kills itself (SIGKILL) at a named point: before or after a commit or a send.

The points are put around the parts that the application is given: a database of its store's and a
middleware. What it runs is the product's own code, unchanged.
"""

import functools
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, Literal, ParamSpec, TypeVar

from sqlalchemy.engine import URL, Connection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from novasystem.storage.database import Database

__all__ = ["WHERE", "Fault", "FaultyDatabase", "FaultySends", "Kind", "Points", "Where"]

P = ParamSpec("P")
T = TypeVar("T")
Kind = Literal["commit", "send"]
Where = Literal["before", "after"]
WHERE: tuple[Where, Where] = ("before", "after")


@dataclass(frozen=True)
class Fault:
    """``where`` the point with the number ``at``, counted from 1 among those of its ``kind``.

    ``name``: of those of that name alone, where it is given. ``record`` is a file that every
    point's name is appended to, whether or not it kills.
    """

    kind: Kind
    where: Where
    at: int
    record: str
    name: str = ""


class Points:
    """Counts the points that were passed, from the moment that :meth:`arm` is called."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._count = 0
        self._armed = False
        self._lock = threading.Lock()
        self._record = Path(fault.record).open("a", buffering=1)  # noqa: SIM115

    def arm(self) -> None:
        self._armed = True

    def take(self, kind: str, name: str) -> int:
        """The number of this point; 0 while it does not count."""
        with self._lock:
            if not self._armed or kind != self._fault.kind:
                return 0
            if self._fault.name not in {"", name.rpartition(".")[2]}:
                return 0
            self._count += 1
            self._record.write(f"{name}\n")
            return self._count

    def passing(self, number: int, where: Where) -> None:
        """Die here, if this is the point."""
        if number and number == self._fault.at and where == self._fault.where:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()


class FaultyDatabase(Database):
    """The points of a transaction: all its statements are done, and: it is committed."""

    def __init__(self, url: URL, points: Points) -> None:
        super().__init__(url)
        self._points = points

    def write_now(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        name = getattr(work, "__qualname__", repr(work))
        number = self._points.take("commit", name)

        # What is one statement is committed with it.
        alone = getattr(work, "one_statement", False)

        @functools.wraps(work)
        def whole(connection: Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if alone:
                self._points.passing(number, "before")
            result = work(connection, *args, **kwargs)
            if not alone:
                self._points.passing(number, "before")
            return result

        result = super().write_now(whole, *args, **kwargs)
        self._points.passing(number, "after")
        return result


class FaultySends:
    """ASGI middleware; the points are around each send of an answer.

    The count begins behind a request with the header ``x-arm``.
    """

    def __init__(self, app: ASGIApp, points: Points) -> None:
        self._app = app
        self._points = points

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if any(name == b"x-arm" for name, _ in scope["headers"]):
            await self._app(scope, receive, send)
            self._points.arm()
            return
        where = " ".join(part for part in scope["path"].split("/")[2:] if "_" not in part[:9])
        name = f"{scope['method']} {where}"

        async def sending(message: Message) -> None:
            number = self._points.take("send", f"{name}: {message['type'].rpartition('.')[2]}")
            self._points.passing(number, "before")
            await send(message)
            self._points.passing(number, "after")

        await self._app(scope, receive, sending)
