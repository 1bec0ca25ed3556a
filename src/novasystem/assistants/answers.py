"""How the routes of this package answer: JSON at once, after a wait, or as a stream."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request, Response

from novasystem.assistants.encode import run_object
from novasystem.assistants.prefer import poll_after_ms, wait_s
from novasystem.assistants.running import AssistantRuns
from novasystem.assistants.stream import stream, stream_error
from novasystem.http.sse import AnswerResponse, SseResponse
from novasystem.runs.records import Run
from novasystem.runs.state import ENDED
from novasystem.storage.ids import now_ms
from novasystem.threads.records import Thread

__all__ = ["json_answer", "run_answer", "run_stream"]


def json_answer(value: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def run_answer(request: Request, run: Run, status: int = 200) -> Response:
    """The run; where the client prefers to wait, once it has ended or waits for outputs.

    It goes on when the client leaves.
    """
    runs: AssistantRuns = request.app.state.assistant_runs
    seconds = wait_s(request)

    async def work() -> bytes:
        shown = run if seconds is None else await runs.wait(run, seconds)
        if shown.status not in ENDED and shown.status != "requires_action":
            after_ms = poll_after_ms(now_ms() - shown.created_at)
            response.headers["openai-poll-after-ms"] = str(after_ms)
        return orjson.dumps(run_object(shown))

    response = AnswerResponse(work(), status_code=status)
    if seconds is not None:
        response.headers["preference-applied"] = f"wait={seconds}"
        response.headers["vary"] = "prefer"
    return response


def run_stream(
    request: Request, run: Run, after: int = 0, thread: Thread | None = None
) -> Response:
    state = request.app.state
    return SseResponse(
        stream(state.assistant_runs, run, after, thread),
        on_error=stream_error,
        limits=state.stream_limits,
        streams=state.streams,
        headers={"x-run-id": run.id},
    )
