"""A benchmark as the older design wrote it, read with patience: what is missing is missing, what
is not known is passed over, numbers may be text."""

import datetime
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from novasystem.benchmarks.records import (
    Benchmark,
    BenchmarkStatus,
    Cpu,
    Gpu,
    Impact,
    Memory,
    Problem,
    Result,
    Summary,
    SystemInfo,
    Throughput,
    Timing,
)

__all__ = ["Unreadable", "benchmark_of"]

_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)")
_COMPACT = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)[T_ -]?(\d\d)[:-]?(\d\d)[:-]?(\d\d)(?:[._](\d{1,6}))?"
)
_COMPLETED = {"completed", "complete", "success", "succeeded", "ok", "done", "finished"}
_FAILED = {"failed", "failure", "error"}
_AS_THEY_ARE: dict[str, BenchmarkStatus] = {"partial": "partial", "cancelled": "cancelled"}
_GIB = 2**30
# Nothing of that time had so many GiB: then it is bytes.
_SURELY_BYTES = 1_000_000
_SURELY_MS = 100_000_000_000


class Unreadable(ValueError):
    """Why a file is no benchmark."""


def benchmark_of(
    said: Mapping[str, Any], benchmark_id: str, owner_id: str, shown_time: str
) -> Benchmark:
    """The benchmark. ``shown_time``: what the file's name says, where the file itself does not.

    A time without a zone is one of this machine's. Raises ``Unreadable``, or pydantic's
    ``ValidationError``.
    """
    at = _time(said.get("timestamp")) or _time(shown_time)
    if at is None:
        raise Unreadable("neither it nor its name says when it was")
    listed = said.get("results")
    if isinstance(listed, Mapping):
        listed = [{"model": model, **_mapping(one)} for model, one in listed.items()]
    if not isinstance(listed, list):
        raise Unreadable("it has no results")
    results = tuple(_result(_mapping(one), at) for one in listed)
    prompts = [_text(one.get("prompt")) for one in [said, *map(_mapping, listed)]]
    succeeded = sum(one.success for one in results)
    return Benchmark(
        id=benchmark_id,
        owner_id=owner_id,
        timestamp=at,
        status=_status(said.get("status"), succeeded, len(results)),
        mode="sequential" if _text(said.get("mode")).lower() == "sequential" else "parallel",
        prompt=next(filter(None, prompts), None),
        parameters=_plain(_mapping(said.get("parameters"))),
        system_info=_system(_mapping(said.get("system_info"))),
        summary=Summary(
            models=len(results),
            succeeded=succeeded,
            requests=len(results),
            failed_requests=len(results) - succeeded,
        ),
        results=results,
    )


def _result(said: Mapping[str, Any], at: datetime.datetime) -> Result:
    timing, throughput = _mapping(said.get("timing")), _mapping(said.get("throughput"))
    impact = _mapping(said.get("system_impact"))
    response, problem = _text(said.get("response")), _problem(said.get("error"))
    success = said.get("success")
    if not isinstance(success, bool):
        success = problem is None and bool(response)
    cpu = impact.get("cpu_delta")
    deltas = [_number(one) for one in (cpu if isinstance(cpu, list) else [cpu])]
    return Result(
        model=_text(said.get("model")) or "unknown",
        success=success,
        error=problem,
        timestamp=_time(said.get("timestamp")) or at,
        timing=Timing(
            time_to_first_chunk=_positive(timing.get("time_to_first_chunk")),
            time_to_first_token=_positive(timing.get("time_to_first_token")),
            total_time=_positive(timing.get("total_time")),
        ),
        throughput=Throughput(
            total_chunks=int(_positive(throughput.get("total_chunks")) or 0),
            total_bytes=int(_positive(throughput.get("total_bytes")) or 0),
            average_chunk_size=_positive(throughput.get("average_chunk_size")),
            bytes_per_second=_positive(throughput.get("bytes_per_second")),
        ),
        system_impact=Impact(
            cpu_delta=tuple(one for one in deltas if one is not None),
            memory_delta=_number(impact.get("memory_delta")),
        ),
        response=response,
        requests=1,
        failed=0 if success else 1,
        errors={} if success else {problem.code if problem else "unknown": 1},
    )


def _status(said: Any, succeeded: int, models: int) -> BenchmarkStatus:
    """What it says where we know the word; what its results say otherwise."""
    word = _text(said).strip().lower()
    if word in _AS_THEY_ARE:
        return _AS_THEY_ARE[word]
    if word in _FAILED or succeeded == 0:
        return "failed"
    return "completed" if succeeded == models else "partial"


def _problem(said: Any) -> Problem | None:
    if not said:
        return None
    if isinstance(said, Mapping):
        message = _text(said.get("message")) or _text(said.get("detail")) or "It failed."
        code = _text(said.get("code")) or "unknown"
        return Problem(code=code, message=message, hint=_text(said.get("hint")))
    return Problem(code="unknown", message=_text(said))


def _system(said: Mapping[str, Any]) -> SystemInfo | None:
    """``None`` where it says neither how many cores there were nor how much memory."""
    cpu, memory = _mapping(said.get("cpu")), _mapping(said.get("memory"))
    cores = _positive(cpu.get("total_cores")) or _positive(cpu.get("physical_cores"))
    total = _positive(memory.get("total"))
    if cores is None or total is None:
        return None
    physical = _positive(cpu.get("physical_cores"))
    unit = _GIB if total > _SURELY_BYTES else 1
    available = (_positive(memory.get("available")) or 0) / unit
    used = _positive(memory.get("used"))
    in_use = total / unit - available if used is None else used / unit
    percent = _positive(memory.get("percent_used"))
    gpus = said.get("gpu")
    return SystemInfo(
        platform=_text(said.get("platform")),
        processor=_text(said.get("processor")),
        python_version=_text(said.get("python_version")),
        novasystem_version="",
        cpu=Cpu(
            physical_cores=None if physical is None else int(physical),
            total_cores=int(cores),
            max_frequency=_positive(cpu.get("max_frequency")),
            min_frequency=_positive(cpu.get("min_frequency")),
            current_frequency=_positive(cpu.get("current_frequency")),
        ),
        memory=Memory(
            total=total / unit,
            available=available,
            used=in_use,
            percent_used=100 * in_use * unit / total if percent is None else percent,
        ),
        gpu=tuple(_gpus(gpus if isinstance(gpus, list) else [gpus])),
    )


def _gpus(said: Iterable[Any]) -> Iterable[Gpu]:
    for one in said:
        name = _text(one.get("name")) if isinstance(one, Mapping) else _text(one)
        if name:
            memory = one.get("memory_total") if isinstance(one, Mapping) else None
            yield Gpu(name=name, memory_total=_positive(memory))


def _time(said: Any) -> datetime.datetime | None:
    """ISO 8601, what a file's name makes of it, or seconds since 1970."""
    try:
        if isinstance(said, int | float) and not isinstance(said, bool):
            # So late a second is a millisecond.
            seconds = said / 1000 if said > _SURELY_MS else said
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        text = _text(said).strip()
        if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
            return datetime.datetime.fromtimestamp(float(text), datetime.UTC)
        try:
            at = datetime.datetime.fromisoformat(text)
        except ValueError:
            found = _COMPACT.match(text)
            if found is None:
                return None
            *parts, fraction = found.groups()
            micro = int((fraction or "0").ljust(6, "0"))
            year, month, day, hour, minute, second = map(int, parts)
            at = datetime.datetime(year, month, day, hour, minute, second, micro)
        return at if at.tzinfo is not None else at.astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _number(said: Any) -> float | None:
    """Text may have a unit behind it; what is not finite is none."""
    if isinstance(said, str):
        found = _NUMBER.match(said)
        said = float(found[1]) if found else None
    if not isinstance(said, int | float) or isinstance(said, bool):
        return None
    try:
        number = float(said)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _positive(said: Any) -> float | None:
    number = _number(said)
    return number if number is not None and number >= 0 else None


def _mapping(said: Any) -> Mapping[str, Any]:
    return said if isinstance(said, Mapping) else {}


def _text(said: Any) -> str:
    """Halves of characters, which are no text, become question marks."""
    if said is None or isinstance(said, Mapping | list):
        return ""
    return str(said).encode("utf-8", "replace").decode()


def _plain(said: Any) -> Any:
    """JSON as it is, but for what is no JSON: numbers that are not finite, halves of characters."""
    if isinstance(said, Mapping):
        return {_text(name): _plain(value) for name, value in said.items()}
    if isinstance(said, list):
        return [_plain(value) for value in said]
    if isinstance(said, str):
        return _text(said)
    if isinstance(said, float) and not math.isfinite(said):
        return None
    return said
