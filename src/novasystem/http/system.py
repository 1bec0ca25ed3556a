"""``/health``, ``/ready`` and ``/metrics``."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from novasystem import __version__

__all__ = ["router"]

router = APIRouter(tags=["System"])


_HEALTHY = {"status": "healthy", "version": __version__}


@router.get(
    "/health",
    summary="Whether the process answers",
    responses={200: {"content": {"application/json": {"example": _HEALTHY}}}},
)
async def health() -> JSONResponse:
    return JSONResponse(_HEALTHY)


@router.get("/ready", summary="Whether work is taken", responses={503: {"description": "Not now"}})
async def ready(request: Request) -> JSONResponse:
    """Ready once the start is over, a model answers, and no shutdown has begun."""
    state = request.app.state
    engines = {
        name: {"ok": health.ok, "detail": health.detail}
        for name, health in (await state.registry.health()).items()
    }
    models = await state.registry.models()
    is_ready = state.started and not state.draining and bool(models)
    body: dict[str, Any] = {
        "status": "ready" if is_ready else ("draining" if state.draining else "not ready"),
        "models": len(models),
        "default_model": state.registry.default_model,
        "engines": engines,
    }
    return JSONResponse(body, status_code=200 if is_ready else 503)


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    state = request.app.state
    state.metrics.open_streams.set(len(state.streams))
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
