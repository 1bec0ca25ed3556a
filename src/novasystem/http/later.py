"""Routes that are loaded when somebody asks for something that no other route takes."""

import asyncio
from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute, Match, Router
from starlette.types import Receive, Scope, Send

__all__ = ["Later"]


class Later(BaseRoute):
    """Stands behind all other routes, and takes once what they leave and is its own.

    ``make``: makes the routes, in a thread, as that takes a while: what is streamed meanwhile goes
    on. They stand before this one from then on, and the request is looked up again. ``takes``:
    whether a path may be one of theirs. ``lock``: of all that make routes of one application, as
    modules that two threads import at once may meet half made.
    """

    def __init__(
        self,
        router: Router,
        make: Callable[[], Sequence[BaseRoute]],
        lock: asyncio.Lock,
        takes: Callable[[str], bool] = lambda _path: True,
    ) -> None:
        self._router = router
        self._make = make
        self._takes = takes
        self._lock = lock
        self._loaded = False

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if self._loaded or not self._takes(scope["path"]):
            return Match.NONE, {}
        return Match.FULL, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._lock:
            if not self._loaded:
                loaded = await asyncio.to_thread(self._make)
                routes = self._router.routes
                here = routes.index(self)
                routes[here:here] = loaded
                self._loaded = True
        await self._router(scope, receive, send)
