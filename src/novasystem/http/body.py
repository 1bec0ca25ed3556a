"""Request bodies: read within the limit, JSON as the standard has it, checked against a model.

FastAPI's own reader takes NaN, infinities and lone surrogates, which no answer can hold, and
nesting so deep that it fails later; it also costs as much as everything else that a door does.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema

from novasystem.errors import BodyTooLarge, MalformedRequest
from novasystem.http.errors import malformed

__all__ = ["DirectRoute", "describe_bodies", "has_body", "parse_json", "read_body", "takes"]

_REF = "#/components/schemas/{model}"

Body = TypeVar("Body", bound=BaseModel)


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and returns the response.

    FastAPI describes it like any other, and has nothing to solve, convert or close for it: that
    alone costs a fifth of a request.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


async def read_body(request: Request, model: type[Body]) -> Body:
    """The request's body as ``model``; raises ``MalformedRequest`` or ``BodyTooLarge``."""
    kind = ""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            kind = value.partition(b";")[0].decode("latin-1").strip().casefold()
    if kind != "application/json" and not kind.endswith("+json"):
        raise MalformedRequest(
            "The body was not sent as JSON.", hint="Send 'Content-Type: application/json'."
        )
    settings = request.app.state.settings
    value = parse_json(await _read(request, settings.max_body_bytes), settings.max_json_depth)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise malformed(error.errors()) from None


def has_body(request: Request) -> bool:
    """Whether one was announced; where it is empty, ``read_body`` says so."""
    headers = request.headers
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _read(request: Request, limit: int) -> bytes:
    """The body, counted as it comes: a length that was announced is only a claim."""
    parts: list[bytes] = []
    size = 0
    async for data in request.stream():
        parts.append(data)
        size += len(data)
        if size > limit:
            raise BodyTooLarge(
                f"The request's body is over the limit of {limit} bytes.",
                hint="Send less, or raise max_body_bytes.",
            )
    return b"".join(parts)


def parse_json(body: bytes, max_depth: int) -> Any:
    """The value of ``body``; raises ``MalformedRequest`` with a sentence that says why not."""
    if not body:
        raise MalformedRequest("The request has no body.", hint="Send a JSON object.")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}.") from None
    # Every level takes a bracket of its own: few of them need no closer look.
    if body.count(b"[") + body.count(b"{") > max_depth and _deeper_than(value, max_depth):
        raise MalformedRequest(
            f"The body is nested deeper than {max_depth} levels.",
            hint="Send less deep, or raise max_json_depth.",
        )
    return value


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


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """What a route that calls :func:`read_body` says of its body, as its ``openapi_extra``."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def describe_bodies(app: FastAPI, models: Sequence[type[BaseModel]]) -> None:
    """Put the schemas that :func:`takes` refers to into the description of ``app``."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes
            )
            _, described = models_json_schema(
                [(model, "validation") for model in models], ref_template=_REF
            )
            components = schema.setdefault("components", {}).setdefault("schemas", {})
            components.update(described["$defs"])
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to do this
