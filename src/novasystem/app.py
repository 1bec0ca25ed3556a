"""Puts everything together: the only place that does, and its lifespan opens and closes it all.

``uvicorn --factory novasystem.app:create_app`` serves it like ``nova serve`` does.
"""

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Mapping, Sequence

import structlog
from fastapi import FastAPI, Request, Response
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from novasystem import __version__
from novasystem.chat.head_start import HeadStarts
from novasystem.chat.router import router as chat_router
from novasystem.chat.service import KIND as CHAT
from novasystem.chat.service import Chat, chat_kind
from novasystem.completions.router import router as completions_router
from novasystem.engines.keeper import Keeper
from novasystem.engines.kinds import build_registry
from novasystem.engines.registry import Registry
from novasystem.errors import EngineError, NovaError
from novasystem.http import docs, errors
from novasystem.http.body import describe_bodies
from novasystem.http.guard import Guard
from novasystem.http.keys import Guesses, Keys
from novasystem.http.later import Later
from novasystem.http.observe import Metrics, Observe
from novasystem.http.sse import OpenStreams, StreamLimits
from novasystem.http.system import router as system_router
from novasystem.keeping import Store
from novasystem.runs.executor import Limits
from novasystem.runs.service import Runs
from novasystem.services import KINDS, LateServices, Services, make_services, needs_a_look
from novasystem.settings import Settings, load_settings
from novasystem.threads.queue import ThreadQueue
from novasystem.unexpected import as_nova_error

__all__ = ["create_app"]

_log = structlog.get_logger(__name__)


def create_app(
    settings: Settings | None = None,
    keepers: Mapping[str, Keeper] | None = None,
    *,
    store: Store | None = None,
) -> FastAPI:
    """The application; ``settings`` are read from the environment where none are given.

    ``keepers``: who keeps the children of the embedded engines, where that is another process.
    ``store``: what keeps the data, where that is not the one that the settings name.
    Raises ``ConfigurationError`` where the settings cannot be used.
    """
    settings = load_settings() if settings is None else settings
    registry = build_registry(settings, os.environ, keepers)
    app = FastAPI(
        title="NovaSystem",
        summary="Measure, serve and keep the language models that you run yourself.",
        version=__version__,
        root_path=settings.root_path,
        lifespan=_lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        docs_url=None,
        redoc_url=None,
    )
    state = app.state
    state.settings = settings
    state.registry = registry
    state.limits = settings.limits
    state.stream_limits = StreamLimits(settings.heartbeat_s, settings.send_timeout_s)
    state.streams = OpenStreams()
    state.metrics = Metrics()
    state.keys = Keys(settings.api_keys)
    state.guesses = Guesses()
    store = Store(settings) if store is None else store
    queue = ThreadQueue(settings.max_waiting_turns)
    head_starts = HeadStarts(store.database, registry, settings.limits)

    def make() -> Services:
        made = make_services(settings, runs, registry, queue)
        state.assistants = made.assistants
        state.assistant_runs = made.assistant_runs
        state.conversations = made.conversations
        state.nova = made.nova
        state.memory = made.memory
        state.tools = made.tools
        state.benchmarks = made.benchmarks
        state.benchmark_history = made.benchmark_history
        return made

    services = LateServices(make)
    runs = Runs(
        store.database,
        {
            CHAT: chat_kind(store.database, registry, settings.limits, head_starts),
            **{name: services.kind(name) for name in KINDS},
        },
        limits=Limits(settings.max_runs, settings.max_runs_per_engine),
        on_free=queue.freed,
    )
    state.store = store
    state.runs = runs
    state.chat = Chat(runs, registry, queue, head_starts)
    state.services = services
    if needs_a_look(settings):
        services.get()
    state.ahead = True
    """Whether a start goes on to make the services, so that nobody waits for them."""
    state.error_page = _error_page
    state.failure = None
    state.started = False
    state.draining = False
    errors.install(app)
    # The description of all routes, which FastAPI has made, needs all of them.
    described = list(app.router.routes)
    app.router.routes.clear()
    for router in (completions_router, chat_router, system_router):
        # The routes themselves: an included router is a level more for every request to pass.
        app.router.routes.extend(router.routes)
    app.router.routes.extend(docs.routes())

    def pages() -> Sequence[BaseRoute]:
        # First: what they are made of is not imported by two threads at once either.
        services.get()
        from novasystem.web.rendering import prepare
        from novasystem.web.router import ROUTERS

        prepare()
        return [route for router in ROUTERS for route in router.routes]

    def api() -> Sequence[BaseRoute]:
        services.get()
        from novasystem import doors

        describe_bodies(app, doors.BODIES)
        return [*described, *(route for router in doors.ROUTERS for route in router.routes)]

    lock = asyncio.Lock()
    app.router.routes += [
        Later(app.router, pages, lock, _may_be_page),
        Later(app.router, api, lock),
    ]
    # The last one added is the outermost.
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id"],
        )
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Observe, metrics=state.metrics)
    return app


def _may_be_page(path: str) -> bool:
    # With a slash behind it: what asks whether another path is there asks without.
    return path.rstrip("/") == "/api/benchmarks" or not f"{path}/".startswith(("/api/", "/v1/"))


def _error_page(request: Request, error: NovaError) -> Response:
    """An error as a page; what draws pages is loaded by the first of them."""
    from novasystem.web.errors import error_page

    return error_page(request, error)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = app.state
    settings: Settings = state.settings
    for variable in settings.unknown_variables:
        await _log.awarning("this variable means nothing", variable=variable)
    starting: asyncio.Task[None] | None = None
    try:
        await state.store.open()
        if state.services.made is not None:
            await state.services.made.open()
        await state.runs.open()
        starting = asyncio.create_task(_start(app))
        yield
    except NovaError as error:
        # Told by whoever serves, in one line and not as a trace.
        state.failure = error
        raise
    finally:
        state.draining = True
        if starting is not None:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await state.runs.aclose()
        if state.services.made is not None:
            await state.services.made.aclose()
        await state.registry.aclose()
        await state.store.aclose()


async def _start(app: FastAPI) -> None:
    """What a start has to do while the server answers already."""
    try:
        await _find_engines(app)
        if app.state.ahead:
            await asyncio.to_thread(app.state.services.get)
            # As what the start made is: see novasystem.server.settle.
            gc.freeze()
    except Exception as error:
        await _log.aerror("the start did not come to its end", error=str(as_nova_error(error)))


async def _find_engines(app: FastAPI) -> None:
    """Bring up the embedded engine, and look for the others."""
    registry: Registry = app.state.registry
    settings: Settings = app.state.settings
    if settings.embedded == "on":
        for engine in registry.pools["embedded"].engines:
            try:
                for model in await engine.models():
                    await engine.load(model.name)
            except EngineError as error:
                await _log.aerror("the embedded engine did not start", error=str(error))
    await registry.refresh()
    app.state.started = True
    await _log.ainfo("ready", models=sorted(await registry.models()))
