"""How many tokens a text has: by the engine's own count where it tells, else an estimate."""

from sqlalchemy.engine import Connection

from novasystem.engines.registry import Registry
from novasystem.runs.context import RunContext
from novasystem.runs.joined import Change
from novasystem.threads import store
from novasystem.threads.records import Item
from novasystem.turns.fitting import estimate

__all__ = ["count", "most", "note"]


async def count(registry: Registry, model: str | None, text: str) -> tuple[int, bool]:
    """Tokens of ``text`` for ``model``, and whether the engine counted them.

    Without what a chat template puts around a message. It never fails, and takes two seconds at
    most: where the engine cannot count, or is not there now, it is an estimate.
    """
    counted = await registry.count_tokens(model, text)
    return (estimate(text), False) if counted is None else (counted, True)


def most(text: str) -> int:
    """More tokens than this ``text`` cannot have: a token stands for one byte at least."""
    return len(text.encode("utf-8", "replace"))


def note(context: RunContext, item: Item, tokens: int) -> None:
    """Write down how many tokens an item has, once an engine has counted them."""

    def write(connection: Connection) -> None:
        store.set_token_count(connection, item.key, tokens, exact=True)

    change = Change(write, [store.counted_item(item.key, tokens)], frozenset({item.id}))
    context.emit("counted", {"item_id": item.id, "tokens": tokens}, change)
