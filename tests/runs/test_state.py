"""The table of transitions: every pair, against a list that was written down by itself."""

import itertools
from typing import get_args

import pytest

from novasystem.errors import IllegalTransition
from novasystem.runs.state import ACTIVE, ENDED, TRANSITIONS, RunStatus, check

STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)
LEGAL = {
    "queued": "in_progress cancelled failed expired",
    "in_progress": "requires_action cancelling completed incomplete failed expired queued",
    "requires_action": "queued cancelled failed expired",
    "cancelling": "cancelled",
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(STATUSES, STATUSES)))
def test_every_pair_is_legal_or_refused(before: RunStatus, after: RunStatus) -> None:
    if after in LEGAL.get(before, "").split():
        check("run_1", before, after)
    else:
        with pytest.raises(IllegalTransition, match=f"run_1.*{before}.*{after}"):
            check("run_1", before, after)


def test_each_status_is_active_or_ended() -> None:
    assert set(TRANSITIONS) == set(STATUSES)
    assert set(LEGAL) == ACTIVE
    assert {"cancelled", "completed", "failed", "incomplete", "expired"} == ENDED


def test_every_status_can_come_to_an_end() -> None:
    reached = set(ENDED)
    for _ in STATUSES:
        reached |= {before for before, after in TRANSITIONS.items() if after & reached}
    assert reached == set(STATUSES)
