"""The API's doors that are loaded with the first request for one of them.

A server that only streams chats and completions starts sooner without them, and stays smaller.
"""

from fastapi import APIRouter
from pydantic import BaseModel

from novasystem.activity.router import router as activity_router
from novasystem.assistants import schemas as assistant_schemas
from novasystem.assistants.assistants_router import router as assistants_router
from novasystem.assistants.runs_router import router as runs_router
from novasystem.assistants.threads_router import router as threads_router
from novasystem.benchmarks.router import router as benchmarks_router
from novasystem.benchmarks.schemas import BenchmarkRequest
from novasystem.chat import schemas as chat_schemas
from novasystem.chat.conversations_router import router as conversations_router
from novasystem.completions.schemas import CompletionRequest, EmbeddingRequest
from novasystem.http.models import router as models_router
from novasystem.nova.memory_router import router as nova_memory_router
from novasystem.nova.router import router as nova_router
from novasystem.nova.schemas import AskRequest
from novasystem.nova.sessions_router import router as nova_sessions_router

__all__ = ["BODIES", "ROUTERS"]

ROUTERS: tuple[APIRouter, ...] = (
    models_router,
    conversations_router,
    # The first that matches answers: /v1/threads/runs is no thread.
    assistants_router,
    runs_router,
    threads_router,
    nova_router,
    nova_sessions_router,
    nova_memory_router,
    benchmarks_router,
    activity_router,
)

BODIES: tuple[type[BaseModel], ...] = (
    *chat_schemas.BODIES,
    CompletionRequest,
    EmbeddingRequest,
    BenchmarkRequest,
    AskRequest,
    *assistant_schemas.BODIES,
)
"""What the endpoints of all doors take."""
