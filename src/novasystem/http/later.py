"""Routes that are loaded when somebody asks for something that no other route takes."""

import asyncio
from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute, Match, Router
from starlette.types import Receive, Scope, Send

__all__ = ["Later"]


class Later(BaseRoute):
    """Stands behind all other routes, and takes whatever they leave, once.

    ``load``: makes the routes, in a thread, as that takes a while: what is streamed meanwhile goes
    on. They take this one's place, and the request is looked up again.
    """

    def __init__(self, router: Router, load: Callable[[], Sequence[BaseRoute]]) -> None:
        self._router = router
        self._load = load
        self._lock = asyncio.Lock()
        self._loaded = False

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.NONE if self._loaded else Match.FULL), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._lock:
            if not self._loaded:
                routes = await asyncio.to_thread(self._load)
                self._router.routes.extend(routes)
                self._loaded = True
        await self._router(scope, receive, send)
