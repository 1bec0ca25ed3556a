"""When a comparison fails a build: ``--fail-on "ttft_s>10%"``."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from novasystem.benchmarks.comparison import Comparison, Difference, MetricComparison
from novasystem.benchmarks.metrics import METRICS
from novasystem.errors import InvalidRequest

__all__ = ["FAILED_SHARE", "Outcome", "Rule", "decide", "rule"]

FAILED_SHARE = "failed_share"
"""Beside the metrics: by how much the share of failed requests may grow (``failed_share>5%``: by
five percentage points). It is a count, and needs no evidence beyond itself."""

_RULE = re.compile(r"\s*([a-z][a-z0-9_]*)\s*>\s*([0-9]*\.?[0-9]+)\s*(%?)\s*\Z", re.I)


@dataclass(frozen=True, slots=True)
class Rule:
    """Fails where ``metric`` got worse by more than ``threshold``: a share of the first benchmark's
    value (0.1 for 10 %), or an amount in the metric's unit. A metric without a better direction
    fails either way."""

    metric: str
    threshold: float
    relative: bool

    def __str__(self) -> str:
        limit = f"{self.threshold * 100:g}%" if self.relative else f"{self.threshold:g}"
        return f"{self.metric}>{limit}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``failures``: which rule a regression broke, or could not be judged as a figure is missing.
    ``notes``: what a rule did not fail on, as there is no evidence for it."""

    failures: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures


def rule(text: str) -> Rule:
    """Parse ``ttft_s>10%`` or ``ttft_s>0.2``; ``InvalidRequest`` for anything else."""
    read = _RULE.match(text)
    if read is None:
        raise InvalidRequest(
            f"'{text[:80]}' is no rule.",
            hint="Write a metric, '>' and how much worse it may get: 'ttft_s>10%', 'ttft_s>0.2'.",
            param="fail_on",
        )
    name, number, percent = read.groups()
    if name not in METRICS and name != FAILED_SHARE:
        raise InvalidRequest(
            f"There is no metric '{name[:80]}'.",
            hint=f"The metrics are {', '.join([*METRICS, FAILED_SHARE])}.",
            param="fail_on",
        )
    if name in METRICS and METRICS[name].why_untested:
        raise InvalidRequest(
            f"'{name}' cannot be gated on: it is {METRICS[name].why_untested}.",
            param="fail_on",
        )
    threshold = float(number) / (100 if percent else 1)
    if not math.isfinite(threshold):
        raise InvalidRequest(f"'{text[:80]}' has no limit.", param="fail_on")
    return Rule(name, threshold, bool(percent) and name != FAILED_SHARE)


def decide(comparison: Comparison, rules: Sequence[Rule]) -> Outcome:
    """Whether any rule fails, for any model and phase.

    A rule fails where the metric is worse by more than its threshold and there is evidence for
    that. It fails too where nothing could be judged: the later benchmark lacks what the first one
    had, or the first one never had it, or the client could not keep up.
    """
    failures: list[str] = []
    notes: list[str] = []
    for id_, reasons in comparison.invalid.items():
        failures += [f"{id_} is not valid: {reason}" for reason in reasons]
    for name, having in comparison.missing.items():
        lacking = [id_ for id_ in comparison.benchmarks[1:] if id_ not in having]
        if comparison.benchmarks[0] in having and lacking:
            failures.append(f"{name}: not measured in {', '.join(lacking)}")
    for one in rules:
        if one.metric == FAILED_SHARE:
            failures += _more_failed(one, comparison)
            continue
        judged = False
        for model in comparison.models:
            found = next((each for each in model.metrics if each.metric == one.metric), None)
            if found is None or found.values[0] is None:
                continue
            judged = True
            for place, difference in enumerate(found.differences, 1):
                where = f"{one}: {model.model} ({model.phase}) in {difference.benchmark}"
                if found.values[place] is None:
                    failed = f"{model.failed[place]} of {model.requests[place]} requests failed"
                    failures.append(f"{where}: no figure ({failed})")
                elif _beyond(one, found, difference):
                    said = f"{where}: {_told(found, place, difference)}"
                    if difference.verdict in {"no evidence", "faster"}:
                        notes.append(f"{said}, but no evidence: {difference.reason}")
                    else:
                        failures.append(f"{said}, {difference.verdict}")
        if not judged:
            failures.append(f"{one}: '{comparison.benchmarks[0]}' has no figure for it")
    return Outcome(tuple(dict.fromkeys(failures)), tuple(notes))


def _more_failed(one: Rule, comparison: Comparison) -> list[str]:
    found = []
    for model in comparison.models:
        shares = [
            failed / requests if requests else 0.0
            for failed, requests in zip(model.failed, model.requests, strict=True)
        ]
        for place, id_ in enumerate(comparison.benchmarks[1:], 1):
            if shares[place] - shares[0] > one.threshold:
                found.append(
                    f"{one}: {model.model} ({model.phase}) in {id_}: {shares[0]:.1%} to "
                    f"{shares[place]:.1%} of the requests failed"
                )
    return found


def _beyond(one: Rule, found: MetricComparison, difference: Difference) -> bool:
    amount = difference.relative if one.relative else difference.absolute
    if amount is None:  # relative to zero: any rise is beyond any share
        amount = math.copysign(math.inf, difference.absolute) if difference.absolute else 0.0
    worse = {"lower": amount, "higher": -amount, None: abs(amount)}[found.better]
    return worse > one.threshold


def _told(found: MetricComparison, place: int, difference: Difference) -> str:
    before, after = found.values[0], found.values[place]
    relative = "" if difference.relative is None else f" ({difference.relative:+.1%})"
    return f"{before:.4g} to {after:.4g} {found.unit}".rstrip() + relative
