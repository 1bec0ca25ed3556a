"""Benchmarks and samples as bytes, and back to what is equal.

A benchmark is JSON. Samples lie in pieces of many: zlib over JSON, ``{"samples": [...]}``, each
sample an object of its fields; its arrivals are four lists (times as differences to the one
before, chunks, bytes, characters), which pack into a few bytes each.
"""

import dataclasses
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Arrived, Failure, Sample
from novasystem.engines.events import ServerTimings

__all__ = ["CorruptRecord", "by_number", "decode", "encode", "light", "pack", "pieces", "unpack"]

MOST_SAMPLES = 256
_MOST_WEIGHT = 2 * 1024 * 1024
_CUT = 1000
_LEVEL = 6

_FIELDS = tuple(field.name for field in dataclasses.fields(Sample))
_TIMINGS = frozenset(field.name for field in dataclasses.fields(ServerTimings))


class CorruptRecord(ValueError):
    """What was stored cannot be read."""


def encode(benchmark: Benchmark) -> bytes:
    return benchmark.model_dump_json().encode()


def decode(data: bytes) -> Benchmark:
    """Raises ``CorruptRecord``."""
    try:
        return Benchmark.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise CorruptRecord(f"{where}: {first['msg']}".removeprefix(": ")) from error


def light(benchmark: Benchmark) -> Benchmark:
    """Without the heavy parts, as a page of many shows it."""
    results = tuple(
        result.model_copy(
            update={
                "response": _cut(result.response),
                "metrics": {},
                "checks": tuple(c.model_copy(update={"failures": ()}) for c in result.checks),
            }
        )
        for result in benchmark.results
    )
    prompt = None if benchmark.prompt is None else _cut(benchmark.prompt)
    return benchmark.model_copy(update={"plan": None, "prompt": prompt, "results": results})


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[:_CUT]}…"


def pieces(samples: Iterable[Sample]) -> Iterator[Sequence[Sample]]:
    """The samples in as few pieces as may be, none of them too large for any store."""
    piece: list[Sample] = []
    weight = 0
    for sample in samples:
        more = 400 + len(sample.text) + len(sample.reasoning) + 16 * len(sample.arrivals)
        if piece and (len(piece) == MOST_SAMPLES or weight + more > _MOST_WEIGHT):
            yield piece
            piece, weight = [], 0
        piece.append(sample)
        weight += more
    if piece:
        yield piece


def pack(samples: Sequence[Sample]) -> bytes:
    said = {"samples": [_plain(sample) for sample in samples]}
    try:
        data = orjson.dumps(said)
    except TypeError:
        # Half of a character, which an engine may send, is no UTF-8; JSON can say it all the same.
        data = json.dumps(said, separators=(",", ":")).encode()
    return zlib.compress(data, _LEVEL)


def unpack(data: bytes) -> list[Sample]:
    """Raises ``CorruptRecord``."""
    try:
        plain = zlib.decompress(data)
        try:
            said = orjson.loads(plain)
        except orjson.JSONDecodeError:
            said = json.loads(plain)
        return [_sample(one) for one in said["samples"]]
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptRecord(f"samples: {error}") from error


def by_number(samples: Iterable[Sample]) -> list[Sample]:
    """In order, each number once: the one that was added last."""
    last = {sample.number: sample for sample in samples}
    return [last[number] for number in sorted(last)]


def _plain(sample: Sample) -> dict[str, Any]:
    said: dict[str, Any] = {name: getattr(sample, name) for name in _FIELDS}
    arrivals = sample.arrivals
    times = [arrived.at_ns for arrived in arrivals]
    said["arrivals"] = [
        [now - before for before, now in zip([0, *times], times, strict=False)],
        [arrived.chunks for arrived in arrivals],
        [arrived.size for arrived in arrivals],
        [arrived.chars for arrived in arrivals],
    ]
    said["timings"] = None if sample.timings is None else dataclasses.asdict(sample.timings)
    said["failure"] = None if sample.failure is None else dataclasses.asdict(sample.failure)
    return said


def _sample(said: Mapping[str, Any]) -> Sample:
    known = {name: said[name] for name in _FIELDS if name in said}
    gaps, *others = said["arrivals"]
    columns = zip(itertools.accumulate(gaps), *others, strict=True)
    known["arrivals"] = tuple(Arrived(*column) for column in columns)
    if said["timings"] is not None:
        timings = {name: value for name, value in said["timings"].items() if name in _TIMINGS}
        known["timings"] = ServerTimings(**timings)
    if said["failure"] is not None:
        known["failure"] = Failure(**said["failure"])
    return Sample(**known)
