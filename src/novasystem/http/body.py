"""Request bodies: JSON as the standard has it, and nothing that later turns into a 500.

FastAPI's own reader takes NaN, infinities and lone surrogates, which no answer can hold, and
nesting so deep that it fails later. orjson refuses the first three; the depth is looked at here.
"""

import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, NoReturn

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

__all__ = ["StrictRoute", "parse_json"]


def parse_json(body: bytes, max_depth: int) -> Any:
    """The value of ``body``; raises ``json.JSONDecodeError`` with a sentence that says why not."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _refuse(error.msg, error.pos)
    # Every level takes a bracket of its own: few of them need no closer look.
    if body.count(b"[") + body.count(b"{") > max_depth and _deeper_than(value, max_depth):
        _refuse(f"nested deeper than {max_depth} levels")
    return value


def _refuse(message: str, position: int = 0) -> NoReturn:
    raise json.JSONDecodeError(message, "", position)


def _deeper_than(value: Any, max_depth: int) -> bool:
    level = [value]
    for _ in range(max_depth + 1):
        level = [
            child
            for item in level
            if isinstance(item, (list, dict))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


class _StrictRequest(Request):
    async def body(self) -> bytes:
        """The body, counted as it comes: a length that was announced is only a claim."""
        if not hasattr(self, "_body"):
            limit = self.app.state.settings.max_body_bytes
            body = bytearray()
            async for data in self.stream():
                body += data
                if len(body) > limit:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            self._body = bytes(body)
        return self._body

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            max_depth = self.app.state.settings.max_json_depth
            self._json = parse_json(await self.body(), max_depth)
        return self._json


class StrictRoute(APIRoute):
    """A route whose body is read by :func:`parse_json`: ``APIRouter(route_class=StrictRoute)``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(_StrictRequest(request.scope, request.receive))

        return strict
