"""What stands behind all doors but those of chats and completions.

A server is ready without it, and makes it right after: or before, where somebody asks first.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from novasystem.engines.protocol import Engine
from novasystem.engines.registry import Registry
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.records import Outcome, Run
from novasystem.runs.service import Runs
from novasystem.runs.state import RunStatus
from novasystem.runs.store import Raw
from novasystem.settings import Settings
from novasystem.threads.queue import ThreadQueue

if TYPE_CHECKING:
    from novasystem.assistants.running import AssistantRuns
    from novasystem.assistants.service import Assistants
    from novasystem.benchmarks.history import History
    from novasystem.benchmarks.service import Benchmarks
    from novasystem.chat.conversations import Conversations
    from novasystem.nova.memory import Memory
    from novasystem.nova.meter import Watched
    from novasystem.nova.service import Nova
    from novasystem.nova.tools import Tools

__all__ = ["KINDS", "LateServices", "Services", "make_services", "needs_a_look"]

KINDS = ("assistant", "benchmark", "nova")
"""What their runs are called. Each goes on where one was interrupted."""


@dataclass(frozen=True, slots=True)
class Services:
    """``kinds``: what their runs execute, under the names in :data:`KINDS`."""

    assistants: "Assistants"
    assistant_runs: "AssistantRuns"
    conversations: "Conversations"
    nova: "Nova"
    memory: "Memory"
    tools: "Tools"
    benchmarks: "Benchmarks"
    benchmark_history: "History"
    kinds: Mapping[str, Kind]

    async def open(self) -> None:
        """Only what :func:`needs_a_look` has anything to open; the rest is made when it is."""
        await self.benchmarks.store.open()

    async def aclose(self) -> None:
        await self.tools.aclose()
        await self.benchmarks.store.aclose()


class LateServices:
    """The services, made once, by whoever needs them first."""

    def __init__(self, make: Callable[[], Services]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self.made: Services | None = None

    def get(self) -> Services:
        """May take some tenths of a second: not for an event loop."""
        with self._lock:
            if self.made is None:
                self.made = self._make()
            return self.made

    def kind(self, name: str) -> Kind:
        """What a run of the kind ``name`` executes."""

        async def execute(context: RunContext) -> Outcome:
            services = self.made
            if services is None:
                services = await asyncio.to_thread(self.get)
            return await services.kinds[name].execute(context)

        def settle(connection: Connection, run: Run, status: RunStatus) -> Sequence[Raw]:
            own = self.get().kinds[name].settle
            return () if own is None else own(connection, run, status)

        return Kind(execute, settle, resumes=True)


def needs_a_look(settings: Settings) -> bool:
    """Whether anything in them can be wrong that only :func:`make_services` finds: then that has to
    be known before the start."""
    return bool(settings.agents or settings.mcp) or settings.benchmark_store != "sql"


def make_services(
    settings: Settings, runs: Runs, registry: Registry, queue: ThreadQueue
) -> Services:
    """Nothing is opened yet. Raises ``ConfigurationError`` where the settings cannot be used."""
    from novasystem.assistants.execute import KIND as ASSISTANT
    from novasystem.assistants.execute import assistant_kind
    from novasystem.assistants.running import AssistantRuns
    from novasystem.assistants.service import Assistants
    from novasystem.benchmarks.carrying import Carrier
    from novasystem.benchmarks.history import History
    from novasystem.benchmarks.service import KIND as BENCHMARK
    from novasystem.benchmarks.service import Benchmarks, benchmark_kind
    from novasystem.benchmarks.stores import Places, find_store
    from novasystem.chat.conversations import Conversations
    from novasystem.nova.agents import team
    from novasystem.nova.execute import KIND as NOVA
    from novasystem.nova.execute import Workplace, nova_kind
    from novasystem.nova.memory import Memory
    from novasystem.nova.service import Nova
    from novasystem.nova.tools import Tools

    database = runs.database
    folder = settings.data_dir / "benchmarks"
    mongo_url = None if settings.mongo_url is None else settings.mongo_url.get_secret_value()
    places = Places(database, folder / "stored", mongo_url)
    store = find_store(settings.benchmark_store, places)
    carrier = Carrier(registry, store, folder / "logs")
    memory = Memory(database, registry, settings.embedding_model)
    tools = Tools(memory, settings.mcp, os.environ)
    agents = team(settings.agents)
    workplace = Workplace(
        database,
        registry,
        settings.limits,
        agents,
        tools,
        memory,
        _watch,
        settings.log_prompts,
    )
    assistants = Assistants(runs)
    benchmarks = Benchmarks(runs, carrier)
    return Services(
        assistants=assistants,
        assistant_runs=AssistantRuns(runs, registry, settings.run_expires_s),
        conversations=Conversations(database, assistants.delete_thread),
        nova=Nova(runs, registry, queue, agents),
        memory=memory,
        tools=tools,
        benchmarks=benchmarks,
        benchmark_history=History(benchmarks),
        kinds={
            ASSISTANT: assistant_kind(database, registry, settings.limits),
            BENCHMARK: benchmark_kind(carrier),
            NOVA: nova_kind(workplace),
        },
    )


def _watch(engine: Engine) -> "Watched":
    """The processes behind an engine; what looks at them is loaded by the first ask."""
    from novasystem.benchmarks.telemetry.servers import Server, finder

    return Server(finder(engine))
