"""``/v1/chat/completions``, ``/v1/models``, ``/v1/embeddings``: stateless, nothing is stored."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from novasystem.completions import encode
from novasystem.completions.requests import to_embed, to_generate
from novasystem.completions.schemas import CompletionRequest, EmbeddingRequest
from novasystem.engines.protocol import Model
from novasystem.errors import ModelNotFound
from novasystem.http.body import DirectRoute, read_body, takes
from novasystem.http.sse import AnswerResponse, SseResponse

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"], route_class=DirectRoute)


@router.post(
    "/chat/completions",
    summary="Answer a conversation, streamed or whole",
    openapi_extra=takes(CompletionRequest),
)
async def create_completion(request: Request) -> Response:
    """OpenAI's chat completions. A client that leaves stops the generation."""
    body = await read_body(request, CompletionRequest)
    state = request.app.state
    asked = to_generate(body, state.limits, state.settings.max_prompt_chars)
    if body.user or body.metadata:
        request.scope["nova.log"] = {"user": body.user, "metadata": body.metadata}
    model = body.model or state.registry.default_model
    events = state.registry.generate(asked)
    if not body.stream:
        return AnswerResponse(encode.completion(events, model))
    include_usage = bool(body.stream_options and body.stream_options.include_usage)
    return SseResponse(
        encode.chunks(events, model, include_usage=include_usage),
        on_error=encode.stream_error,
        limits=state.stream_limits,
        streams=state.streams,
    )


@router.post("/embeddings", summary="Vectors for texts", openapi_extra=takes(EmbeddingRequest))
async def create_embeddings(request: Request) -> Response:
    """OpenAI's embeddings, as numbers or as base64 of 32-bit floats."""
    body = await read_body(request, EmbeddingRequest)
    state = request.app.state
    asked = to_embed(body, state.limits, state.settings.max_prompt_chars)
    model = body.model or state.registry.default_model

    async def work() -> bytes:
        embeddings = await state.registry.embed(asked)
        return encode.embedding_list(embeddings, model, body.encoding_format or "float")

    return AnswerResponse(work())


@router.get("/models", summary="Every model that answers now")
async def list_models(request: Request) -> Response:
    """Models of all engines, and the aliases that lead to one of them."""
    models = await _named(request)
    items = [encode.model_item(name, model) for name, model in models.items()]
    return JSONResponse({"object": "list", "data": items})


@router.get(
    "/models/{model:path}",
    summary="One model",
    openapi_extra={
        "parameters": [
            {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    },
)
async def get_model(request: Request) -> Response:
    name = request.path_params["model"]
    models = await _named(request)
    if name not in models:
        raise ModelNotFound(name, sorted(models))
    return JSONResponse(encode.model_item(name, models[name]))


async def _named(request: Request) -> dict[str, Model]:
    registry = request.app.state.registry
    models: dict[str, Model] = await registry.models()
    aliases = {
        alias: models[target] for alias, target in registry.aliases.items() if target in models
    }
    return {**models, **aliases}
