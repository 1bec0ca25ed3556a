"""The part of a thread that a model is shown, read no further back than its window can hold."""

from novasystem.engines.registry import Registry
from novasystem.errors import ContextLengthExceeded
from novasystem.storage.database import Database
from novasystem.threads import store
from novasystem.turns.fitting import PER_MESSAGE, Fitted, estimate, fit

__all__ = ["look_back"]

_UNKNOWN_ITEMS = 2_000
_ANSWER_SHARE = 4


async def look_back(
    database: Database,
    registry: Registry,
    thread_key: int,
    model: str,
    *,
    instructions: str | None = None,
    answer_tokens: int | None = None,
    prompt_tokens: int | None = None,
    last_messages: int | None = None,
) -> Fitted:
    """The newest items of a thread that fit the model's window beside its answer.

    ``answer_tokens``: what the answer may take; a quarter of the window where that is open.
    ``prompt_tokens``: a limit of the request's own. Raises ``ContextLengthExceeded`` where the
    instructions alone leave no room.
    """
    window = await registry.context_tokens(model)
    budget = prompt_tokens
    if window is not None:
        kept_free = min(answer_tokens or window // _ANSWER_SHARE, window // 2)
        room = window - kept_free
        budget = room if prompt_tokens is None else min(room, prompt_tokens)
    if budget is not None and instructions:
        budget -= PER_MESSAGE + estimate(instructions)
        if budget <= 0:
            raise ContextLengthExceeded(
                f"The instructions leave no room for a conversation with '{model}'.",
                hint="Shorten them, or choose a model with a larger window.",
                param="instructions",
            )
    limit = _UNKNOWN_ITEMS if budget is None else budget // PER_MESSAGE + 1
    total, items = await database.read(
        lambda connection: (
            store.count_items(connection, thread_key),
            store.last_items(connection, thread_key, limit),
        )
    )
    shown = [item for item in items if item.status != "in_progress"]
    fitted = fit(shown, budget, last_messages)
    return Fitted(fitted.items, fitted.left_out + total - len(items), fitted.tokens, fitted.exact)
