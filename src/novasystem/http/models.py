"""``/api/models``: every model that answers now, with all that is known of it; load and unload."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from novasystem.engines.protocol import Model
from novasystem.engines.registry import Registry
from novasystem.http.sse import AnswerResponse

__all__ = ["router"]

router = APIRouter(prefix="/api/models", tags=["System"])


def _registry(request: Request) -> Registry:
    registry: Registry = request.app.state.registry
    return registry


@router.get("", summary="The models, with size and state", response_class=Response)
async def list_models(request: Request) -> Response:
    """Under the names that they are asked for by. `null` is what an engine does not say."""
    registry = _registry(request)
    found = await registry.models()
    rows = [_shown(name, model) for name, model in sorted(found.items())]
    body = {"data": rows, "default_model": registry.default_model, "aliases": registry.aliases}
    return Response(orjson.dumps(body), media_type="application/json")


@router.post("/{name:path}/load", summary="Bring a model into memory", response_class=Response)
async def load(request: Request, name: str) -> Response:
    """Answers once it is there; a 400 where its engine loads models by itself."""
    return _change(request, name, loaded=True)


@router.post("/{name:path}/unload", summary="Take a model out of memory", response_class=Response)
async def unload(request: Request, name: str) -> Response:
    """The next request that needs it loads it again."""
    return _change(request, name, loaded=False)


def _change(request: Request, name: str, *, loaded: bool) -> Response:
    registry = _registry(request)

    async def work() -> bytes:
        await (registry.load(name) if loaded else registry.unload(name))
        # What was known of it a moment ago does not hold any more.
        await registry.refresh(max_age_s=0)
        return orjson.dumps({"name": name, "loaded": loaded})

    return AnswerResponse(work())


def _shown(name: str, model: Model) -> dict[str, Any]:
    return {
        "name": name,
        "engine": model.engine,
        "size_bytes": model.size_bytes,
        "parameters": model.parameters,
        "quantization": model.quantization,
        "family": model.family,
        "context_tokens": model.context_tokens,
        "loaded": model.loaded,
        "capabilities": model.capabilities,
    }
