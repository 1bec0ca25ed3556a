"""The whole benchmark as JSON, by a schema that can be asked for."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic_core import PydanticSerializationError

from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.reports.figures import Report
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.telemetry.readings import Readings

__all__ = ["Export", "as_json", "export_schema", "read_json"]


class Export(BaseModel):
    """A benchmark with what its figures were made from.

    Times of samples and readings are nanoseconds since the benchmark's origin, of one monotonic
    clock. An arrival is ``[at_ns, chunks, size, chars]``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["novasystem.benchmark/1"] = "novasystem.benchmark/1"
    benchmark: Benchmark
    samples: tuple[Sample, ...] = ()
    telemetry: Readings | None = None


def export_schema() -> dict[str, Any]:
    """The JSON Schema of what :func:`as_json` gives."""
    return Export.model_json_schema(mode="serialization")


def as_json(report: Report) -> str:
    made = Export.model_construct(
        benchmark=report.benchmark, samples=tuple(report.samples), telemetry=report.readings
    )
    try:
        return made.model_dump_json()
    except PydanticSerializationError:
        # Half of a surrogate pair, which an older file may hold and no encoding can write.
        scrubbed = _scrubbed(made.model_dump(mode="python"))
        return TypeAdapter(Any).dump_json(scrubbed).decode()


def read_json(text: str | bytes) -> Report:
    """The reverse of :func:`as_json`; raises pydantic's ``ValidationError``."""
    made = Export.model_validate_json(text)
    return Report(made.benchmark, made.samples, made.telemetry)


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(item) for item in value]
    return value
