"""What came of an evaluation: every answer, and the figures that are computed from them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from novasystem.nova.evaluation.shares import Paired, paired, wilson

__all__ = ["MODES", "Answered", "figures", "verdict"]

MODES = ("single", "team")
Interval = Callable[[Sequence[Sequence[float]]], tuple[float, float] | None]
"""Of the mean of values that come in parts."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One question, answered in one mode; ``status`` of its last ask. Tokens and seconds are those
    of all its turns; tokens are ``None`` where the engine does not count. ``error``: what failed
    instead."""

    question: str
    kind: str
    mode: str
    right: bool
    text: str
    status: str
    tokens: int | None
    seconds: float
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def figures(answers: Sequence[Answered], interval: Interval) -> dict[str, Any]:
    """Both modes side by side, over the questions that both were asked, and by kind."""
    by_mode = {mode: {one.question: one for one in answers if one.mode == mode} for mode in MODES}
    both = [name for name in by_mode["single"] if name in by_mode["team"]]
    single, team = ([by_mode[mode][name] for name in both] for mode in MODES)
    difference = paired([one.right for one in single], [one.right for one in team])
    kinds = dict.fromkeys(one.kind for one in single)
    return {
        "questions": len(both),
        "single": _of_mode(single, interval),
        "team": _of_mode(team, interval),
        "difference": asdict(difference),
        "kinds": {
            kind: {
                "questions": sum(one.kind == kind for one in single),
                "single": sum(one.right for one in single if one.kind == kind),
                "team": sum(one.right for one in team if one.kind == kind),
            }
            for kind in kinds
        },
        "verdict": verdict(difference, single, team),
    }


def _of_mode(answers: Sequence[Answered], interval: Interval) -> dict[str, Any]:
    right = sum(one.right for one in answers)
    low, high = wilson(right, len(answers))
    counted = [float(one.tokens) for one in answers if one.tokens is not None]
    seconds = [one.seconds for one in answers]
    return {
        "right": right,
        "accuracy": right / len(answers) if answers else None,
        "accuracy_interval": [low, high],
        "failed": sum(one.error is not None for one in answers),
        "tokens": _mean(counted, interval),
        "seconds": _mean(seconds, interval),
    }


def _mean(values: Sequence[float], interval: Interval) -> dict[str, Any] | None:
    if not values:
        return None
    around = interval([[value] for value in values])
    return {
        "mean": sum(values) / len(values),
        "interval": None if around is None else list(around),
        "total": sum(values),
    }


def verdict(difference: Paired, single: Sequence[Answered], team: Sequence[Answered]) -> str:
    """Whether the team paid, in a sentence."""
    if not difference.asked:
        return "No question was answered in both modes, so nothing can be said."
    points = f"{100 * difference.difference:+.0f} points"
    around = f"{100 * difference.low:+.0f} to {100 * difference.high:+.0f}"
    cost = _cost(single, team)
    if difference.low > 0:
        return f"The team paid: it was right more often ({points}, {around}), at {cost}."
    if difference.high < 0:
        return f"The team did not pay: it was right less often ({points}, {around}), at {cost}."
    return (
        f"The team did not pay: with {difference.asked} questions no difference can be told "
        f"({points}, {around}), at {cost}."
    )


def _cost(single: Sequence[Answered], team: Sequence[Answered]) -> str:
    parts = []
    tokens = [sum(one.tokens or 0 for one in answers) for answers in (single, team)]
    if all(one.tokens is not None for one in (*single, *team)) and tokens[0]:
        parts.append(f"{tokens[1] / tokens[0]:.1f} times the tokens")
    seconds = [sum(one.seconds for one in answers) for answers in (single, team)]
    if seconds[0]:
        parts.append(f"{seconds[1] / seconds[0]:.1f} times the seconds")
    return " and ".join(parts) or "a cost that is not known"
