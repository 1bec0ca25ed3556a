"""A model's turn on a thread, as a run carries it out: tokens in, events and items out.

The events of a turn, in the run's log::

    message_begun  {item_id, step_id}            the answer's text begins
    text           {text}                        what one read of the engine brought of it
    reasoning      {text}                        a piece of what the model thinks before it answers
    message_ended  {item_id, step_id, text, reason, usage, tokens, exact}
                                                 reason: why it is incomplete, or null
    calls_begun    {step_id}                     the model asks for calls
    call           {index, id, name, arguments}  a piece of one; id and name on its first piece only
    calls_asked    {step_id, tool_calls}         the calls, whole; their outputs are not there yet
    calls_ended    {step_id, tool_calls}         the same with their outputs
    calls_dropped  {step_id}                     an interrupted turn had begun them; they are void
    restarted      {item_id, step_id}            what was said of the open message is void
    fitted         {left_out_items}              older items that the model was not shown
    counted        {item_id, tokens}             a message's tokens, by the engine's own count
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from novasystem.engines.events import Event as EngineEvent
from novasystem.engines.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest
from novasystem.runs import store as run_store
from novasystem.runs.context import RunContext
from novasystem.turns.turn import Answer, Turn

__all__ = ["answer"]


async def answer(
    context: RunContext,
    registry: Registry,
    request: GenerateRequest,
    events: AsyncGenerator[EngineEvent, None] | None = None,
) -> Answer:
    """Let the model speak, and write what it says to the run's log and to its thread.

    ``events``: the answer to ``request``, where the engine was asked before.
    """
    item_id = step_id = None
    if context.interrupted:
        item_id, step_id = await _broken_off(context)
    turn = Turn(context, item_id, step_id)
    usage: dict[str, int] | None = None
    reason: FinishReason = "stop"
    reasoned = False
    try:
        async with aclosing(registry.generate(request) if events is None else events) as said:
            async for event in said:
                if isinstance(event, TextDelta):
                    turn.say(event.text)
                elif isinstance(event, ReasoningDelta):
                    reasoned = True
                    turn.show()
                    context.emit("reasoning", {"text": event.text})
                elif isinstance(event, ToolCallDelta):
                    turn.call(event)
                elif isinstance(event, Usage):
                    usage = _counts(event)
                    turn.spent = _spent(event, reasoned)
                elif isinstance(event, Finished):
                    reason = event.reason
    finally:
        # An answer that is stopped keeps what was said.
        turn.show()
    return turn.end(reason, usage)


def _counts(usage: Usage) -> dict[str, int] | None:
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is None or completion is None:
        return None
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _spent(usage: Usage, reasoned: bool) -> int | None:
    """Tokens of the text alone: what was thought before it is no part of the message."""
    if not reasoned or usage.completion_tokens is None:
        return usage.completion_tokens
    if usage.reasoning_tokens is None:
        return None
    return max(0, usage.completion_tokens - usage.reasoning_tokens)


async def _broken_off(context: RunContext) -> tuple[str | None, str | None]:
    """The message that an earlier execution had begun; whoever watches it is told to forget it."""
    item_id = step_id = None
    open_calls: str | None = None
    for event in await context.recorded():
        if event.type == "message_begun":
            item_id, step_id = event.data["item_id"], event.data["step_id"]
        elif event.type == "message_ended":
            item_id = step_id = None
        elif event.type == "calls_begun":
            open_calls = event.data["step_id"]
        elif event.type in {"calls_ended", "calls_dropped"}:
            open_calls = None
    if item_id is not None or open_calls is not None:
        context.emit("restarted", {"item_id": item_id, "step_id": step_id})
    if open_calls is not None:
        dropped = open_calls
        context.emit(
            "calls_dropped",
            {"step_id": dropped},
            lambda connection: run_store.end_step(connection, dropped, "cancelled"),
        )
    return item_id, step_id
