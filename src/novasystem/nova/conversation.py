"""What an agent is shown besides its task: the session so far, and what memory found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from novasystem.engines.registry import Registry
from novasystem.engines.requests import Message
from novasystem.errors import ContextLengthExceeded
from novasystem.nova.agents import Agent
from novasystem.threads.records import Item
from novasystem.turns.fitting import PER_MESSAGE, estimate
from novasystem.turns.messages import to_messages
from novasystem.turns.window import Room, fit_exactly, room

__all__ = ["Conversation", "remembered", "shortened"]

_RECALL_SHARE = 4


@dataclass(frozen=True, slots=True)
class Conversation:
    """``items``: of the session, before the question, oldest first. ``recalled``: from elsewhere
    or longer ago, the nearest first."""

    registry: Registry
    items: Sequence[Item]
    recalled: Sequence[Mapping[str, Any]] = ()

    async def messages(
        self, agent: Agent, model: str, work: str, *, besides: str = "", halved: int = 0
    ) -> tuple[Message, ...]:
        """The agent's instructions, what of the conversation fits beside its task, and the task.

        ``besides``: what else the engine is told, such as tools. ``halved``: how often the
        conversation is to be cut in half because an engine found it too long.
        """
        before: list[Message] = []
        if agent.conversation and (self.items or self.recalled):
            before = await self._before(agent, model, work + besides, halved)
        return (Message("system", agent.instructions), *before, Message("user", work))

    async def _before(self, agent: Agent, model: str, work: str, halved: int) -> list[Message]:
        try:
            into = await room(
                self.registry,
                model,
                instructions=agent.instructions + work,
                answer_tokens=agent.max_tokens,
            )
        except ContextLengthExceeded:
            return []
        tokens = into.tokens
        recalled: list[Message] = []
        for item in self.recalled[: len(self.recalled) >> halved]:
            turn = remembered(item)
            cost = sum(estimate(message.content) + PER_MESSAGE for message in turn)
            if tokens is not None and into.tokens is not None:
                if tokens - cost < into.tokens * (_RECALL_SHARE - 1) // _RECALL_SHARE:
                    continue
                tokens -= cost
            recalled += turn
        items = list(self.items[len(self.items) - (len(self.items) >> halved) :])
        if not items:
            return recalled
        fitted, _ = await fit_exactly(self.registry, items, len(items), Room(model, tokens))
        if tokens is not None and fitted.tokens > tokens:
            return recalled
        return [*recalled, *to_messages(fitted.items)]


def remembered(item: Mapping[str, Any]) -> list[Message]:
    """What was said elsewhere, as turns of a conversation: small models know no other memory."""
    who = "" if item["role"] == "user" else "You answered: "
    return [
        Message("user", f"(From an earlier conversation) {who}{item['text']}"),
        Message("assistant", "Noted."),
    ]


def shortened(text: str, chars: int) -> str:
    """``text``, its middle left out where it has more than ``chars``."""
    if len(text) <= chars:
        return text
    half = max(1, (chars - 5) // 2)
    return f"{text[:half]} […] {text[-half:]}"
