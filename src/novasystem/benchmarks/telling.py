"""What a log's records are to whoever watches: small events, in the same words at every door.

Each is ``{type, benchmark_id, model, elapsed_s, …}``; ``model`` is ``null`` where it is about the
whole, ``elapsed_s`` counts from the benchmark's begin and is one axis for all of them::

    started    {models, mode, total}                     the load begins, or goes on
    model      {status, phase, error}                    starting, first_token, generating, done,
                                                         failed
    request    {number}                                  one begins whose text is shown
    token      {number, text, reasoning, chunks, ttft_s, a piece of it, at most some 20 a second
                chunks_per_s}
    sample     {number, phase, block, item, counted, ttft_s, e2e_s, output_tokens_per_s,
                prompt_tokens, completion_tokens, error} one request has ended
    progress   {done, total, failed, left_s, ttft_s, output_tokens_per_s, rate_per_s}
    machine    {cpu_percent[], memory_bytes, servers{}, gpus[], …}  about three times a second
    step       {rate_per_s, requests, good}              a step of a sweep has ended
    client     {cpu_s, lag_s, in_flight}                 the load process, about once a second
    loaded     {status, error}                           all requests are made

A log of events is read by everyone who comes late, and has to stay small: the longer a benchmark
takes, the further apart its events are. Texts are joined, what is counted is counted in
``progress``, and every request is in the samples; of many that end at once not each is followed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from novasystem.benchmarks.metrics import e2e_s, output_tokens_per_s, ttft_s
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.progress import Progress
from novasystem.benchmarks.sample_log import (
    ClientFigures,
    End,
    Header,
    Live,
    ModelState,
    Record,
    SweepStep,
)
from novasystem.benchmarks.samples import Failure, Sample
from novasystem.benchmarks.telemetry.figures import MachineFigures
from novasystem.benchmarks.thinning import Thinning

__all__ = ["Teller"]

Told = tuple[str, dict[str, Any]]

_STATES = {"started": "starting", "done": "done", "failed": "failed"}


@dataclass(slots=True)
class _Followed:
    """The request whose text is shown; ``pieces``: what of it is not told yet; ``told``: whether
    it is at all, as one that ends before it is due is not."""

    number: int
    asked_ns: int
    first_ns: int | None = None
    chunks: int = 0
    at_ns: int = 0
    reasoning: bool = False
    told: bool = False
    pieces: list[str] = field(default_factory=list)


def _samples() -> Thinning:
    return Thinning(every_s=0.05, many=2000, at_once=100)


@dataclass(slots=True)
class _Model:
    status: str = "waiting"
    phase: str | None = None
    followed: _Followed | None = None
    behind: bool = False
    """Whether there is progress that is not told yet."""
    requests: Thinning = field(
        default_factory=lambda: Thinning(every_s=0.25, many=1000, at_once=100)
    )
    texts: Thinning = field(default_factory=lambda: Thinning(every_s=0.0, many=4000))
    samples: Thinning = field(default_factory=_samples)
    failures: Thinning = field(default_factory=_samples)
    progress: Thinning = field(default_factory=lambda: Thinning(every_s=0.25, many=1000))


class Teller:
    """Takes records in their order. ``earlier``: those of executions before this one."""

    def __init__(self, plan: Plan, earlier: Iterable[Record] = ()) -> None:
        self._plan = plan
        self._progress = Progress(plan, earlier)
        self._models = {model: _Model() for model in plan.models}
        self._machine = Thinning(every_s=0.25, many=1000)
        self._client = Thinning(every_s=0.5, many=1000)
        self._absent: Mapping[str, str] | None = None

    def tell(self, record: Record | MachineFigures) -> list[Told]:
        """The events that it makes, none to a few."""
        self._progress.take(record)
        at_ns = _at_ns(record)
        elapsed_s = round(at_ns / 1e9, 4)
        return [
            (type_, {"model": None, "elapsed_s": elapsed_s, **said})
            for type_, said in self._told(record, at_ns)
        ]

    def _told(self, record: Record | MachineFigures, at_ns: int) -> Iterator[Told]:
        match record:
            case Header():
                models, total = list(self._plan.models), self._progress.total
                yield "started", {"models": models, "mode": self._plan.mode, "total": total}
            case ModelState():
                yield from self._state(record, at_ns)
            case Live():
                yield from self._live(record, at_ns)
            case Sample():
                yield from self._sample(record, at_ns)
            case SweepStep():
                step = record.step
                said = {"rate_per_s": step.rate_per_s, "requests": step.requests}
                yield "step", {"model": record.model, **said, "good": step.good}
            case ClientFigures():
                if self._client.due(at_ns):
                    figures = {"cpu_s": record.cpu_s, "lag_s": record.lag_ns / 1e9}
                    yield "client", {**figures, "in_flight": record.in_flight}
            case MachineFigures():
                yield from self._behind(at_ns)
                if self._machine.due(at_ns):
                    yield "machine", {**record.plain(), **self._reasons(record.absent)}
            case End():
                yield "loaded", {"status": record.status, "error": _error(record.failure)}

    def _state(self, record: ModelState, at_ns: int) -> Iterator[Told]:
        model = self._models[record.model]
        yield from self._text(record.model, model)
        if record.state in {"done", "failed"}:
            yield self._gone(record.model, model)
        model.phase = record.phase or model.phase
        # Whatever a phase begins with, it is not an answer yet.
        status = _STATES.get(record.state, model.status)
        yield self._status(record.model, model, status, record.failure)

    def _live(self, record: Live, at_ns: int) -> Iterator[Told]:
        model = self._models[record.model]
        followed = model.followed
        if not record.text or followed is None or followed.number != record.number:
            yield from self._text(record.model, model)
            followed = model.followed = _Followed(record.number, at_ns)
        if not followed.told and model.requests.due(at_ns):
            followed.told = True
            yield "request", {"model": record.model, "number": record.number}
        if not record.text:
            return
        if followed.reasoning is not record.reasoning:
            yield from self._text(record.model, model)
            followed.reasoning = record.reasoning
        if followed.first_ns is None:
            followed.first_ns = record.since_ns or at_ns
        if model.status == "starting":
            yield self._status(record.model, model, "first_token")
        elif model.status == "first_token":
            yield self._status(record.model, model, "generating")
        followed.pieces.append(record.text)
        followed.chunks += record.chunks
        followed.at_ns = at_ns
        if followed.told and model.texts.due(at_ns):
            yield from self._text(record.model, model)

    def _text(self, name: str, model: _Model) -> Iterator[Told]:
        """What was held back of a text."""
        followed = model.followed
        if followed is None or not followed.pieces or followed.first_ns is None:
            return
        if not followed.told:
            return
        text = "".join(followed.pieces)
        followed.pieces.clear()
        span_s = (followed.at_ns - followed.first_ns) / 1e9
        pace = round((followed.chunks - 1) / span_s, 2) if followed.chunks > 1 and span_s else None
        yield (
            "token",
            {
                "model": name,
                "elapsed_s": round(followed.at_ns / 1e9, 4),
                "number": followed.number,
                "text": text,
                "reasoning": followed.reasoning,
                "chunks": followed.chunks,
                "chunks_per_s": pace,
                "ttft_s": (followed.first_ns - followed.asked_ns) / 1e9,
            },
        )

    def _sample(self, sample: Sample, at_ns: int) -> Iterator[Told]:
        model = self._models[sample.model]
        if model.followed is not None and model.followed.number == sample.number:
            yield from self._text(sample.model, model)
            model.followed = None
        if sample.failure is None:
            # Whoever answers at once, or to many at once, is seen to have begun all the same.
            if model.status == "starting":
                yield self._status(sample.model, model, "first_token")
            if model.status == "first_token":
                yield self._status(sample.model, model, "generating")
        thinning = model.samples if sample.failure is None else model.failures
        if thinning.due(at_ns):
            yield "sample", _sample(sample)
        model.behind = True
        if model.progress.due(at_ns):
            yield self._gone(sample.model, model)

    def _behind(self, at_ns: int) -> Iterator[Told]:
        """What was held back, and is due while nothing else comes."""
        for name, model in self._models.items():
            followed = model.followed
            waits = followed is not None and followed.told and followed.pieces
            if waits and model.texts.due(at_ns):
                yield from self._text(name, model)
            if model.behind and model.progress.due(at_ns):
                yield self._gone(name, model)

    def _gone(self, name: str, model: _Model) -> Told:
        model.behind = False
        total, seen = self._progress.total, self._progress.models[name]
        left_s = seen.left_s(total)
        return "progress", {
            "model": name,
            "done": seen.done,
            "total": total,
            "failed": seen.failed,
            "left_s": None if left_s is None else round(left_s, 1),
            "ttft_s": seen.ttft.value,
            "output_tokens_per_s": seen.pace.value,
            "rate_per_s": seen.rate_per_s,
        }

    def _status(
        self, name: str, model: _Model, status: str, failure: Failure | None = None
    ) -> Told:
        model.status = status
        said = {"status": status, "phase": model.phase, "error": _error(failure)}
        return "model", {"model": name, **said}

    def _reasons(self, absent: Mapping[str, str]) -> dict[str, Any]:
        """Once, and again when they change."""
        if absent == self._absent:
            return {}
        self._absent = absent
        return {"absent": dict(absent)}


def _at_ns(record: Record | MachineFigures) -> int:
    match record:
        case Header():
            return record.begins_ns
        case Sample():
            return record.ended_ns
        case _:
            return record.at_ns


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "model": sample.model,
        "number": sample.number,
        "phase": sample.phase,
        "block": sample.block,
        "item": sample.item,
        "counted": sample.counted,
        "ttft_s": ttft_s(sample),
        "e2e_s": e2e_s(sample),
        "output_tokens_per_s": output_tokens_per_s(sample),
        "prompt_tokens": sample.prompt_tokens,
        "completion_tokens": sample.completion_tokens,
        "error": _error(sample.failure),
    }


def _error(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "hint": failure.hint}
