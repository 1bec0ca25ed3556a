"""A run's log as OpenAI's stream of events.

The contract's events, in its order; and ours, for a watcher who has seen what no longer holds::

    thread.message.replaced    the whole message as it stands: first in a stream that is taken up
    thread.run.step.replaced   again inside of one, and after a restart of the run
    thread.message.deleted     what was begun and never stored, and so will never be
    thread.run.step.deleted

An ``id:`` stands on what is stored, and on the last of the events that one entry of the log makes.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from novasystem.assistants.encode import thread_object
from novasystem.assistants.running import AssistantRuns
from novasystem.assistants.view import View, frame
from novasystem.errors import NotFound, NovaError, RunFailed
from novasystem.http.errors import openai_error
from novasystem.runs.records import Event, Rewound, Run
from novasystem.runs.state import ENDED
from novasystem.threads.records import Thread

__all__ = ["stream", "stream_error"]

_DONE = b"event: done\ndata: [DONE]\n\n"


def stream_error(error: NovaError) -> bytes:
    """The client raises ``APIError`` for it."""
    return frame(b"error", openai_error(error)) + _DONE


async def stream(
    runs: AssistantRuns, run: Run, after: int = 0, thread: Thread | None = None
) -> AsyncGenerator[bytes, None]:
    """What happens in ``run`` behind the event ``after``, until it ends or waits for an action.

    ``thread``: one that was made with the run. The run goes on when its watcher leaves.
    """
    if thread is not None:
        yield frame(b"thread.created", thread_object(thread))
    after = min(after, run.last_seq)
    view = await _view(runs, run, after)
    if after:
        for said in view.replaced():
            yield said
        if after == run.last_seq and run.status in {*ENDED, "requires_action"}:
            yield _DONE
            return
    async with aclosing(runs.follow(run, after)) as seen:
        async for one in seen:
            if isinstance(one, Rewound):
                void, view = view, await _view(runs, run, one.seq)
                for said in (*view.gone_since(void), *view.replaced()):
                    yield said
            elif isinstance(one, Event):
                ended = one.type == "status" and one.data["status"] in ENDED
                stored = await runs.now(run) if ended else None
                said = b"".join(_numbered(view.apply(one, stored), one))
                if said:
                    yield said
                if ended or await _waits(runs, run, one):
                    yield _failure(one) + _DONE
                    return
    if await runs.now(run) is None:
        raise NotFound("run", run.id, param="run_id")
    raise RunFailed("interrupted", "The stream broke off, and the run goes on: read it again.")


async def _view(runs: AssistantRuns, run: Run, seq: int) -> View:
    """What a watcher has been shown by the event ``seq``."""
    view = View(run)
    if seq:
        for event in await runs.recorded(run, seq):
            view.apply(event)
    return view


def _numbered(frames: list[bytes], event: Event) -> list[bytes]:
    if event.committed and frames:
        frames[-1] = b"id: %d\n" % event.seq + frames[-1]
    return frames


async def _waits(runs: AssistantRuns, run: Run, event: Event) -> bool:
    """Whether the run waits for outputs since ``event``, and not once in the past."""
    if event.type != "status" or event.data["status"] != "requires_action":
        return False
    now = await runs.now(run)
    return now is None or now.last_seq == event.seq


def _failure(event: Event) -> bytes:
    if event.data["status"] != "failed":
        return b""
    error = event.data["error"]
    return frame(b"error", openai_error(RunFailed(error["code"], error["message"])))
