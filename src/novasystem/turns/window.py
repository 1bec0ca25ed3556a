"""The part of a thread that a model is shown, read no further back than its window can hold."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from novasystem.engines.registry import Registry
from novasystem.errors import ContextLengthExceeded
from novasystem.storage.database import Database
from novasystem.threads import store
from novasystem.threads.records import Item
from novasystem.turns.fitting import PER_MESSAGE, Fitted, fit
from novasystem.turns.tokens import count, most

__all__ = ["Room", "fit_exactly", "look_back", "newest", "room", "save_counts", "surely_fit"]

_UNKNOWN_ITEMS = 2_000
_ANSWER_SHARE = 4
_COUNT_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Room:
    """What a prompt may take: ``tokens`` beside its instructions (``None``: unknown), and at most
    ``last_messages`` messages."""

    model: str
    tokens: int | None
    last_messages: int | None = None

    @property
    def items(self) -> int:
        """More items than this cannot fit, whatever they hold."""
        return _UNKNOWN_ITEMS if self.tokens is None else self.tokens // PER_MESSAGE + 1


async def room(
    registry: Registry,
    model: str,
    *,
    instructions: str | None = None,
    answer_tokens: int | None = None,
    prompt_tokens: int | None = None,
    last_messages: int | None = None,
) -> Room:
    """The room for a conversation in the model's window, beside its answer.

    ``answer_tokens``: what the answer may take; a quarter of the window where that is open.
    ``prompt_tokens``: a limit of the request's own. Raises ``ContextLengthExceeded`` where the
    instructions alone leave no room.
    """
    window = await registry.context_tokens(model)
    budget = prompt_tokens
    if window is not None:
        kept_free = min(answer_tokens or window // _ANSWER_SHARE, window // 2)
        left = window - kept_free
        budget = left if prompt_tokens is None else min(left, prompt_tokens)
    if budget is not None and instructions:
        tokens, _ = await count(registry, model, instructions)
        budget -= PER_MESSAGE + tokens
        if budget <= 0:
            raise ContextLengthExceeded(
                f"The instructions leave no room for a conversation with '{model}'.",
                hint="Shorten them, or choose a model with a larger window.",
                param="instructions",
            )
    return Room(model, budget, last_messages)


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
    """The newest items of a thread that fit the model's window beside its answer: see :func:`room`.

    Where it may become tight, items whose tokens are estimated are counted first.
    """
    into = await room(
        registry,
        model,
        instructions=instructions,
        answer_tokens=answer_tokens,
        prompt_tokens=prompt_tokens,
        last_messages=last_messages,
    )

    total, items = await database.read(newest, thread_key, into)
    fitted, counted = await fit_exactly(registry, items, total, into)
    if counted:
        await database.write(save_counts, counted)
    return fitted


def newest(connection: Connection, thread_key: int, into: Room) -> tuple[int, list[Item]]:
    """How many items the thread has, and as many of the newest as could fit, oldest first."""
    items = store.last_items(connection, thread_key, into.items)
    if len(items) < into.items:
        return len(items), items
    return store.count_items(connection, thread_key), items


async def fit_exactly(
    registry: Registry, items: Sequence[Item], total: int, into: Room
) -> tuple[Fitted, list[Item]]:
    """What of ``items``, the newest of ``total``, fits; and those that were counted for it."""
    shown = [item for item in items if item.status != "in_progress"]
    counted: list[Item] = []
    if into.tokens is not None and not surely_fit(shown, into):
        counted = await _count(registry, shown, into)
        by_key = {item.key: item for item in counted}
        shown = [by_key.get(item.key, item) for item in shown]
    fitted = fit(shown, into.tokens, into.last_messages)
    left_out = fitted.left_out + total - len(items)
    return Fitted(fitted.items, left_out, fitted.tokens, fitted.exact), counted


def surely_fit(items: Sequence[Item], into: Room) -> bool:
    """Whether all of them fit, also where the tokens of some are not counted."""
    return into.last_messages is None and (
        into.tokens is None or sum(map(_most, items)) <= into.tokens
    )


def _most(item: Item) -> int:
    known = item.token_count if item.token_count_exact else None
    return PER_MESSAGE + (most(item.content) if known is None else known)


async def _count(registry: Registry, shown: Sequence[Item], into: Room) -> list[Item]:
    """Those that may be shown and whose tokens were not counted yet, with their counts."""
    assert into.tokens is not None
    newest_first = fit(shown, None, into.last_messages).items[::-1]
    counted: list[Item] = []
    used = 0
    for start in range(0, len(newest_first), _COUNT_AT_ONCE):
        some = newest_first[start : start + _COUNT_AT_ONCE]
        unsure = [item for item in some if not item.token_count_exact]
        counts = await asyncio.gather(*(count(registry, into.model, i.content) for i in unsure))
        if not all(exact for _, exact in counts):
            # Its engine cannot tell, or not now: the estimates have to do.
            break
        counted += [
            replace(item, token_count=tokens, token_count_exact=True)
            for item, (tokens, _) in zip(unsure, counts, strict=True)
        ]
        used += len(some) * PER_MESSAGE + sum(tokens for tokens, _ in counts)
        used += sum(item.token_count or 0 for item in some if item.token_count_exact)
        if used > into.tokens:
            break
    return counted


def save_counts(connection: Connection, counted: Sequence[Item]) -> None:
    for item in counted:
        if item.token_count is not None:
            store.set_token_count(connection, item.key, item.token_count, exact=True)
