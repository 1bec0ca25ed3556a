"""Where a benchmark ran: the machine, and each model with the engine that answers for it."""

import asyncio
import contextlib
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import structlog

from novasystem.benchmarks.records import Cpu, Gpu, Memory, ModelEnvironment, SystemInfo
from novasystem.benchmarks.telemetry.gpu import Gpus
from novasystem.benchmarks.weights import file_digest
from novasystem.engines.embedded import EmbeddedEngine
from novasystem.engines.protocol import Engine, Model, Versioned
from novasystem.errors import NovaError

__all__ = ["model_environment", "system_info"]

_GIB = 2**30
_ASK_S = 10.0

_log = structlog.get_logger(__name__)


def system_info(gpus: Gpus | None = None, root: Path = Path("/")) -> SystemInfo:
    """The machine as it is now. Takes a moment where a GPU's driver is asked.

    ``gpus``: those to be listed, where not this machine's own. ``root``: where ``proc`` and ``sys``
    lie. What the system does not say is ``None``.
    """
    asked = gpus or Gpus()
    try:
        cards = asked.cards()
    finally:
        if gpus is None:
            asked.close()
    memory = psutil.virtual_memory()
    low, now, high = _frequencies()
    name = _processor(root)
    return SystemInfo(
        platform=platform.platform(),
        processor=name,
        python_version=platform.python_version(),
        novasystem_version=metadata.version("novasystem"),
        cpu=Cpu(
            name=name,
            physical_cores=psutil.cpu_count(logical=False),
            total_cores=psutil.cpu_count() or 1,
            max_frequency=high,
            min_frequency=low,
            current_frequency=now,
            governor=_governor(root),
        ),
        memory=Memory(
            total=memory.total / _GIB,
            available=memory.available / _GIB,
            used=memory.used / _GIB,
            percent_used=memory.percent,
        ),
        gpu=tuple(
            Gpu(
                name=card.name,
                memory_total=None if card.memory_bytes is None else card.memory_bytes / _GIB,
                driver=card.driver,
            )
            for card in cards
        ),
    )


async def model_environment(
    engine: Engine,
    model: str,
    *,
    shown_as: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> ModelEnvironment:
    """What the figures of ``model``, as ``engine`` calls it, depend on beside the machine.

    ``shown_as``: the name by which it was asked for. ``options``: what is sent with each request;
    Ollama's ``num_ctx`` and ``num_thread`` stand above what the model itself has set.

    An engine that does not answer within ten seconds leaves its fields ``None``; nothing is raised.
    """
    found, version = await asyncio.gather(_described(engine, model), _version(engine))
    digest, threads = found.digest, None
    if isinstance(engine, EmbeddedEngine):
        config = engine.config
        # llama.cpp's own choice is not known from outside.
        threads = config.threads or None
        with contextlib.suppress(OSError):
            digest = digest or await asyncio.to_thread(file_digest, config.model_path)
    asked = options or {}
    return ModelEnvironment(
        model=shown_as or model,
        engine=engine.name,
        engine_kind=engine.kind,
        engine_version=version,
        address=engine.where,
        digest=digest,
        quantization=found.quantization,
        parameters=found.parameters,
        size_bytes=found.size_bytes,
        context_tokens=_count(asked.get("num_ctx")) or found.context_tokens,
        threads=_count(asked.get("num_thread")) or threads,
    )


async def _described(engine: Engine, model: str) -> Model:
    silent = Model(name=model, engine=engine.name)
    try:
        async with asyncio.timeout(_ASK_S):
            models = await engine.models()
    except (NovaError, OSError) as error:
        # TimeoutError is an OSError.
        await _log.awarning("an engine is silent", engine=engine.name, error=str(error))
        return silent
    names = (model, model.removesuffix(":latest"))
    return next((each for each in models if each.name in names), silent)


async def _version(engine: Engine) -> str | None:
    if not isinstance(engine, Versioned):
        return None
    try:
        async with asyncio.timeout(_ASK_S):
            return await engine.version()
    except (NovaError, OSError) as error:
        await _log.awarning("an engine is silent", engine=engine.name, error=str(error))
        return None


def _count(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None


def _frequencies() -> tuple[float | None, float | None, float | None]:
    """Lowest, current, highest, in MHz; a virtual machine knows the current one at most."""
    try:
        found = psutil.cpu_freq()
    except (NotImplementedError, OSError, RuntimeError):
        return None, None, None
    if found is None:
        return None, None, None
    return found.min or None, found.current or None, found.max or None


def _processor(root: Path) -> str:
    """As it is sold where Linux says so, else as Python knows it."""
    with contextlib.suppress(OSError):
        for line in (root / "proc/cpuinfo").read_text(errors="replace").splitlines():
            name, colon, value = line.partition(":")
            if colon and name.strip() in {"model name", "Model"} and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _governor(root: Path) -> str | None:
    """The one of all cores, or each that is used, where they differ."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    found = set()
    for file in files:
        with contextlib.suppress(OSError):
            found.add(file.read_text().strip())
    return ", ".join(sorted(found)) or None
