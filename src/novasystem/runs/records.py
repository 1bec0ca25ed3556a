"""Runs, steps and events as they are stored and passed around."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from novasystem.runs.state import RunStatus

__all__ = [
    "Committed",
    "Event",
    "Limits",
    "NewRun",
    "Outcome",
    "Rewound",
    "Run",
    "Seen",
    "Step",
    "StepStatus",
]

StepStatus = Literal["in_progress", "completed", "failed", "cancelled", "expired", "unknown"]


@dataclass(frozen=True, slots=True)
class Run:
    """A row of ``runs``. Times are unix milliseconds; ``None``: not yet, or never.

    ``thread_id`` is the thread's stored UUID, without hyphens. ``details`` is what the last
    outcome left for its door to show; the kernel does not look into it.
    """

    key: int
    id: str
    owner_id: str
    thread_key: int | None
    thread_id: str | None
    kind: str
    lane: str
    status: RunStatus
    request: Mapping[str, Any]
    assistant_id: str | None
    metadata: Mapping[str, str]
    created_at: int
    started_at: int | None
    ended_at: int | None
    expires_at: int | None
    executor: str | None
    fence: int
    interruptions: int
    last_seq: int
    error: Mapping[str, str] | None
    details: Mapping[str, Any] | None
    usage: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is needed to begin one. ``lane``: runs of one lane share a limit, as those that one
    engine carries out; ``expires_in_s``: how long it may take, queue and actions included."""

    kind: str
    owner_id: str
    request: Mapping[str, Any]
    thread_key: int | None = None
    thread_id: str | None = None
    lane: str = ""
    assistant_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    expires_in_s: float | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How many runs a process carries out at once: in all, and in one lane."""

    total: int = 256
    lane: int = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one execution ended, where it did not raise."""

    status: Literal["completed", "incomplete", "requires_action"] = "completed"
    details: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A row of ``run_steps``. ``name`` is unique in its run where it is given."""

    key: int
    id: str
    run_key: int
    name: str | None
    type: str
    status: StepStatus
    details: Mapping[str, Any]
    error: Mapping[str, str] | None
    usage: Mapping[str, Any] | None
    created_at: int
    ended_at: int | None


class Event(NamedTuple):
    """One event of a run's log. ``committed``: whether it will be there after a crash.

    There is one for each token: a tuple is made in half the time of a frozen dataclass.
    """

    seq: int
    type: str
    data: Mapping[str, Any]
    at_ms: int
    committed: bool


@dataclass(frozen=True, slots=True)
class Committed:
    """All events up to ``seq`` are stored now: a watcher that comes back may go on from there."""

    seq: int


@dataclass(frozen=True, slots=True)
class Rewound:
    """What was shown after ``seq`` was never stored, and is void: others come in its place."""

    seq: int


Seen = Event | Committed | Rewound
"""What a watcher of a run sees."""
