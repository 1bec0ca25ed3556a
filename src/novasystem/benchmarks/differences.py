"""Where two benchmarks were made under different conditions: read before any figure of theirs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from novasystem.benchmarks.records import Benchmark, ModelEnvironment, SystemInfo

__all__ = ["Condition", "conditions"]

_OF_MODELS: dict[str, Callable[[ModelEnvironment], Any]] = {
    "quantization": lambda one: one.quantization,
    "digest": lambda one: one.digest,
    "context_tokens": lambda one: one.context_tokens,
    "engine": lambda one: one.engine_kind,
    "engine_version": lambda one: one.engine_version,
    "threads": lambda one: one.threads,
    "parameters": lambda one: one.parameters,
    "size_bytes": lambda one: one.size_bytes,
}
_OF_MACHINES: dict[str, Callable[[SystemInfo], Any]] = {
    "cpu_governor": lambda one: one.cpu.governor,
    "processor": lambda one: one.cpu.name or one.processor,
    "cores": lambda one: one.cpu.total_cores,
    "max_frequency_mhz": lambda one: one.cpu.max_frequency,
    "memory_gib": lambda one: round(one.memory.total, 1),
    "gpu": lambda one: ", ".join(gpu.name for gpu in one.gpu) or None,
    "gpu_driver": lambda one: ", ".join(gpu.driver or "?" for gpu in one.gpu) or None,
    "platform": lambda one: one.platform,
    "python_version": lambda one: one.python_version,
    "novasystem_version": lambda one: one.novasystem_version,
}
_OF_PLANS = ("mode", "workload", "load", "phases", "parameters", "repetitions", "warm_up")


class Condition(BaseModel):
    """What was not the same: ``values``, one a benchmark, ``None`` where it is not known.

    ``model``: whose it is; ``None`` for the machine's and the plan's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    model: str | None = None
    values: tuple[str | None, ...]


def conditions(
    benchmarks: Sequence[Benchmark], models: Sequence[Sequence[str | None]]
) -> tuple[Condition, ...]:
    """Everything that differs: of the models, then of the machine, then of the plans.

    ``models``: for each model that is compared, its name in each benchmark.
    """
    return tuple(
        condition for condition in _all(benchmarks, models) if len(set(condition.values)) > 1
    )


def _all(
    benchmarks: Sequence[Benchmark], models: Sequence[Sequence[str | None]]
) -> Iterator[Condition]:
    for names in models:
        model = next((name for name in names if name is not None), None)
        yield Condition(what="model", model=model, values=tuple(names))
        kept = [_model(one, name) for one, name in zip(benchmarks, names, strict=True)]
        for what, read in _OF_MODELS.items():
            values = tuple(_shown(read(one) if one else None) for one in kept)
            yield Condition(what=what, model=model, values=values)
    infos = [one.system_info for one in benchmarks]
    for what, of_machine in _OF_MACHINES.items():
        values = tuple(_shown(of_machine(info) if info else None) for info in infos)
        yield Condition(what=what, values=values)
    plans = [one.plan.model_dump(mode="json") if one.plan else {} for one in benchmarks]
    for what in _OF_PLANS:
        yield Condition(what=what, values=tuple(_shown(plan.get(what)) for plan in plans))


def _model(benchmark: Benchmark, name: str | None) -> ModelEnvironment | None:
    return next((one for one in benchmark.environment.models if one.model == name), None)


def _shown(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
