"""``Prefer: wait=SECONDS`` (RFC 7240), and when to come back to a run that is not done."""

import re

from starlette.requests import Request

__all__ = ["MAX_WAIT_S", "poll_after_ms", "wait_s"]

MAX_WAIT_S = 600
_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE)


def wait_s(request: Request) -> int | None:
    """How long the client would have us wait, at most ``MAX_WAIT_S``; ``None``: not at all.

    Preferences that mean nothing here are ignored, as the RFC has it; of two, the first counts.
    """
    for header in request.headers.getlist("prefer"):
        for preference in header.split(","):
            found = _WAIT.fullmatch(preference.partition(";")[0].strip())
            if found is not None:
                return min(int(found[1]), MAX_WAIT_S)
    return None


def poll_after_ms(age_ms: int) -> int:
    """A short run is asked after often, a long one seldom."""
    return min(max(age_ms // 10, 100), 2_000)
