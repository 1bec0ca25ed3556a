"""How far a benchmark is, by model, as its records tell."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novasystem.benchmarks.metrics import output_tokens_per_s, ttft_s
from novasystem.benchmarks.pacing import pacer
from novasystem.benchmarks.plan import Phase, Plan
from novasystem.benchmarks.resuming import broken_off
from novasystem.benchmarks.sample_log import Header, Live, ModelState, Record, SweepStep
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.workloads import size

if TYPE_CHECKING:
    from novasystem.benchmarks.telemetry import MachineFigures

__all__ = ["GENERATING", "WAITING", "ModelProgress", "Progress", "expected"]

WAITING = "waiting for its first token"
GENERATING = "generating"
_TAIL = 400
_PATIENCE_S = 0.5


def expected(plan: Plan) -> int | None:
    """How many counted requests each model gets at the most; ``None``: it depends on the answers.

    requests of a repetition · repetitions · phases
    """
    if plan.load.kind == "sweep":
        return None
    own = size(plan.workload)
    each = own if plan.workload.kind == "conversation" else _requests(plan, own)
    repetitions = plan.repetitions if plan.until is None else plan.until.max_repetitions
    return each * repetitions * len(plan.phases)


def _requests(plan: Plan, own: int) -> int:
    return pacer(plan.load, plan.workload, own).requests


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    n: int = 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.n += 1

    @property
    def value(self) -> float | None:
        return self.total / self.n if self.n else None


@dataclass(slots=True)
class ModelProgress:
    """``text``: the end of what it says now; ``done``: counted requests that have ended."""

    status: str = "waiting"
    phase: Phase | None = None
    done: int = 0
    failed: int = 0
    text: str = ""
    begins: bool = False
    asked_s: float = 0.0
    problem: str = ""
    rate_per_s: float | None = None
    began_ns: int | None = None
    began_done: int = 0
    """How many were done when that was set."""
    seen_ns: int = 0
    ttft: _Mean = field(default_factory=_Mean)
    pace: _Mean = field(default_factory=_Mean)

    @property
    def shown_status(self) -> str:
        """Who is quick waits too often, and too shortly, for an eye."""
        quick = self.text and time.monotonic() - self.asked_s < _PATIENCE_S
        return GENERATING if self.status == WAITING and quick else self.status

    def left_s(self, total: int | None) -> float | None:
        """How long it still takes, if it goes on as until now."""
        done = self.done - self.began_done
        if total is None or not done or self.began_ns is None:
            return None
        return max(0.0, (self.seen_ns - self.began_ns) / 1e9 / done * (total - self.done))

    def begin(self, at_ns: int) -> None:
        """From then on it is told how long a request takes."""
        self.began_ns, self.began_done = at_ns, self.done


class Progress:
    """Takes records in their order; a benchmark that is carried on begins with those it had."""

    def __init__(self, plan: Plan, earlier: Iterable[Record] = ()) -> None:
        self.total = expected(plan)
        self.models = {model: ModelProgress() for model in plan.models}
        for record in earlier:
            self.take(record)
        for model in self.models.values():
            if model.status != "done":
                model.status = "waiting"
            # The time that it took before says nothing about the time that is left.
            model.text, model.began_ns = "", None

    def take(self, record: "Record | MachineFigures") -> ModelProgress | None:
        """The model that the record is of, as it is then."""
        if not isinstance(record, Sample | Live | ModelState | SweepStep):
            if isinstance(record, Header):
                self._restart()
            return None
        model = self.models.setdefault(record.model, ModelProgress())
        match record:
            case Sample():
                self._sample(model, record)
            case Live(text=""):
                model.status, model.asked_s, model.begins = WAITING, time.monotonic(), True
            case Live():
                # Until then the answer before stays: of quick ones nothing would be seen.
                before = "" if model.begins else model.text
                model.status, model.begins = GENERATING, False
                model.text = (before + record.text)[-_TAIL:]
            case ModelState(state="phase"):
                model.phase = record.phase
            case ModelState():
                model.status = {"started": "starting"}.get(record.state, record.state)
                if record.failure is not None:
                    model.problem = record.failure.message
            case SweepStep():
                model.rate_per_s = record.step.rate_per_s
        at_ns = record.ended_ns if isinstance(record, Sample) else record.at_ns
        model.seen_ns = max(model.seen_ns, at_ns)
        if model.began_ns is None:
            model.begin(at_ns)
        return model

    def _restart(self) -> None:
        for model in self.models.values():
            model.problem = ""

    def _sample(self, model: ModelProgress, sample: Sample) -> None:
        if not sample.counted:
            model.status = "warming up"
            model.begin(sample.ended_ns)
            return
        if broken_off(sample):
            return
        model.done += 1
        model.rate_per_s = sample.rate_per_s
        if sample.failure is not None:
            model.failed += 1
            return
        model.ttft.add(ttft_s(sample))
        model.pace.add(output_tokens_per_s(sample))
