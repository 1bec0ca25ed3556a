"""What the page of the system shows: engines, models, work, the machine, what is kept."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from uuid import UUID

from novasystem import __version__
from novasystem.benchmarks.records import SystemInfo
from novasystem.benchmarks.reports.words import gib
from novasystem.engines.protocol import Health, Model
from novasystem.engines.registry import Registry
from novasystem.runs.records import Run
from novasystem.settings import Settings
from novasystem.storage.database import Database
from novasystem.web.view_models.words import Badge, Moment, size

__all__ = ["NowView", "SystemView"]

_PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "aiohttp", "xllamacpp")
_STATUSES = {
    "queued": Badge("waiting", "accent"),
    "in_progress": Badge("running", "accent working"),
    "requires_action": Badge("waits for tool outputs", "warning"),
    "cancelling": Badge("stopping", "warning"),
}
_KINDS = {"chat": "Chat", "assistant": "Assistant", "benchmark": "Benchmark", "nova": "Ask"}

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EngineRow:
    name: str
    kind: str
    where: str
    state: Badge
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class ModelRow:
    """``can``: "load" or "unload", or nothing where its engine does that by itself."""

    key: str
    name: str
    engine: str
    parameters: str
    quantization: str
    size: str
    window: str
    state: Badge
    can: str
    default: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    id: str
    kind: str
    model: str
    state: Badge
    since: Moment
    path: str


@dataclass(frozen=True, slots=True)
class NowView:
    """What changes from moment to moment."""

    engines: tuple[EngineRow, ...]
    models: tuple[ModelRow, ...]
    runs: tuple[RunRow, ...]
    work: Facts

    @classmethod
    def of(
        cls,
        registry: Registry,
        health: Mapping[str, Health],
        models: Mapping[str, Model],
        runs: Sequence[Run],
        work: Facts,
    ) -> "NowView":
        engines = tuple(_engines(registry, health))
        rows = tuple(
            _model(number, name, model, default=name == registry.default_model)
            for number, (name, model) in enumerate(sorted(models.items()))
        )
        return cls(engines, rows, tuple(map(_run, runs)), work)


@dataclass(frozen=True, slots=True)
class SystemView:
    """What stays as it is. ``now``: nothing yet, the page asks for it once it is there."""

    machine: Facts
    kept: Facts
    versions: Facts
    now: NowView | None = None

    @classmethod
    def of(cls, info: SystemInfo, settings: Settings, database: Database) -> "SystemView":
        return cls(_machine(info), tuple(_kept(settings, database)), tuple(_versions()))


def _engines(registry: Registry, health: Mapping[str, Health]) -> Iterable[EngineRow]:
    for pool in registry.pools.values():
        for number, engine in enumerate(pool.engines):
            name = pool.name if len(pool.engines) == 1 else f"{pool.name}[{number}]"
            found = health.get(name, Health(False, "has not answered yet"))
            state = Badge("answers", "good")
            if not found.ok:
                state = Badge("does not answer", "bad") if pool.expected else Badge("not there")
            hint = "" if found.ok else found.hint
            yield EngineRow(name, engine.kind, engine.where, state, found.detail, hint)


def _model(number: int, name: str, model: Model, *, default: bool) -> ModelRow:
    states = {
        True: Badge("in memory", "good"),
        False: Badge("not loaded"),
        None: Badge("as its engine likes"),
    }
    return ModelRow(
        key=f"model-{number}",
        name=name,
        engine=model.engine,
        parameters=model.parameters or "",
        quantization=model.quantization or "",
        size=size(model.size_bytes),
        window="" if model.context_tokens is None else f"{model.context_tokens:,}",
        state=states[model.loaded],
        can={True: "unload", False: "load", None: ""}[model.loaded],
        default=default,
    )


def _run(run: Run) -> RunRow:
    path = ""
    if run.thread_id is not None:
        shown = UUID(run.thread_id)
        ways = {"chat": f"/chat/{shown}", "nova": f"/ask/{shown}"}
        path = ways.get(run.kind, "")
    if run.kind == "assistant" and run.assistant_id is not None:
        path = f"/assistants/{run.assistant_id}/runs/{run.id}"
    if run.kind == "benchmark":
        path = "/"
    return RunRow(
        id=run.id,
        kind=_KINDS.get(run.kind, run.kind.capitalize()),
        model=str(run.request.get("model") or ""),
        state=_STATUSES.get(run.status, Badge(run.status)),
        since=Moment.of_ms(run.created_at),
        path=path,
    )


def _machine(info: SystemInfo) -> Facts:
    cores = f"{info.cpu.total_cores}"
    if info.cpu.physical_cores:
        cores += f" ({info.cpu.physical_cores} physical)"
    memory = f"{gib(info.memory.available)} free of {gib(info.memory.total)}"
    cards = [
        card.name + ("" if card.memory_total is None else f", {gib(card.memory_total)}")
        for card in info.gpu
    ]
    return (
        ("System", info.platform),
        ("Processor", info.processor or "unknown"),
        ("Cores", cores),
        ("Memory", memory),
        ("GPU", "; ".join(cards) or "none that is seen"),
    )


def _kept(settings: Settings, database: Database) -> Iterable[tuple[str, str]]:
    file = database.url.database if database.is_sqlite else None
    if file is not None:
        yield "Database", "SQLite"
        yield "File", file
        # What was written last lies beside it.
        parts = [path for path in (Path(file), Path(f"{file}-wal")) if path.exists()]
        yield "Size", size(sum(path.stat().st_size for path in parts))
    else:
        yield "Database", "PostgreSQL"
        yield "Address", database.url.render_as_string(hide_password=True)
    yield (
        "Benchmarks",
        {"sql": "in the database", "files": "a folder of files"}.get(
            settings.benchmark_store, settings.benchmark_store
        ),
    )
    yield "Data folder", str(settings.data_dir)


def _versions() -> Iterable[tuple[str, str]]:
    yield "NovaSystem", __version__
    yield "Python", platform.python_version()
    for name in _PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
