"""Assistants, threads and messages: made, read, changed, listed, deleted."""

import time
from typing import Any

import openai

from tests.assistants.clients.walks.people import refused
from tests.assistants.clients.walks.witness import Witness

__all__ = [
    "an_assistant_lives",
    "every_assistant_is_paged_once",
    "every_message_is_paged_once",
    "threads_and_messages_live",
]

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_price",
        "description": "The price of a share.",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        },
    },
}


def an_assistant_lives(witness: Witness) -> Any:
    with witness.client() as client:
        assistants = client.beta.assistants
        made = assistants.create(
            model="speaker",
            name="Analyst",
            description="Looks at markets.",
            instructions="Be brief.",
            tools=[TOOL],
            metadata={"team": "north"},
            temperature=0,
            top_p=0.5,
        )
        assert made.id.startswith("asst_")
        assert made.object == "assistant"
        assert abs(made.created_at - time.time()) < 600
        # A nought is a value, and not the lack of one.
        assert made.temperature == 0
        assert made.tools[0].type == "function"
        assert made.tools[0].function.parameters == TOOL["function"]["parameters"]
        assert assistants.retrieve(made.id) == made
        changed = assistants.update(made.id, name="Second", metadata={"team": "south"})
        assert changed == made.model_copy(update={"name": "Second", "metadata": {"team": "south"}})
        assert assistants.retrieve(made.id) == changed
        assert made.id in {one.id for one in assistants.list()}
        gone = assistants.delete(made.id)
        assert (gone.id, gone.object, gone.deleted) == (made.id, "assistant.deleted", True)
        refused(openai.NotFoundError, lambda: assistants.retrieve(made.id))
        refused(openai.NotFoundError, lambda: assistants.delete(made.id))
        return made.id


def threads_and_messages_live(witness: Witness) -> Any:
    with witness.client() as client:
        threads, messages = client.beta.threads, client.beta.threads.messages
        thread = threads.create(
            messages=[
                {"role": "user", "content": "First."},
                {"role": "assistant", "content": "Second.", "metadata": {"n": "2"}},
            ],
            metadata={"topic": "tests"},
        )
        assert thread.id.startswith("thread_")
        assert thread.metadata == {"topic": "tests"}
        assert threads.retrieve(thread.id) == thread
        changed = threads.update(thread.id, metadata={"topic": "more"})
        assert changed.metadata == {"topic": "more"}
        third = messages.create(
            thread.id, role="user", content=[{"type": "text", "text": "Third \u2028 😀\u0000."}]
        )
        assert (third.status, third.role, third.thread_id) == ("completed", "user", thread.id)
        assert text(third) == "Third \u2028 😀\u0000."
        assert messages.retrieve(third.id, thread_id=thread.id) == third
        marked = messages.update(third.id, thread_id=thread.id, metadata={"seen": "yes"})
        assert marked.metadata == {"seen": "yes"}
        order = [text(one) for one in messages.list(thread.id, order="asc")]
        assert order == ["First.", "Second.", text(third)]
        assert [text(one) for one in messages.list(thread.id)] == order[::-1]
        gone = messages.delete(third.id, thread_id=thread.id)
        assert (gone.id, gone.deleted) == (third.id, True)
        assert [text(one) for one in messages.list(thread.id, order="asc")] == order[:2]
        dropped = threads.delete(thread.id)
        assert (dropped.id, dropped.deleted) == (thread.id, True)
        for again in (
            lambda: threads.retrieve(thread.id),
            lambda: messages.list(thread.id),
            lambda: messages.create(thread.id, role="user", content="Late."),
            lambda: client.beta.threads.runs.list(thread.id),
        ):
            refused(openai.NotFoundError, again)
        return thread.id


def text(message: Any) -> str:
    (part,) = message.content
    assert part.type == "text"
    assert part.text.annotations == []
    return str(part.text.value)


def every_assistant_is_paged_once(witness: Witness) -> Any:
    with witness.client() as client:
        assistants = client.beta.assistants
        for old in assistants.list(limit=100):
            assistants.delete(old.id)
        made = [assistants.create(model="speaker", name=f"a{n}") for n in range(45)]
        within = most_within_a_second([one.created_at for one in made])
        ids = [one.id for one in made]
        for limit in (1, 7, 20, 45, 100):
            assert [one.id for one in assistants.list(limit=limit, order="asc")] == ids
            assert [one.id for one in assistants.list(limit=limit, order="desc")] == ids[::-1]
        first = assistants.list(order="asc")
        assert (len(first.data), first.has_more) == (20, True)
        window = assistants.list(order="asc", after=ids[9], before=ids[13])
        assert [one.id for one in window.data] == ids[10:13]
        last = assistants.list(order="asc", after=ids[24])
        assert ([one.id for one in last.data], last.has_more) == (ids[25:], False)
        for one in made:
            assistants.delete(one.id)
        return {"assistants": len(ids), "within a second": within}


def every_message_is_paged_once(witness: Witness) -> Any:
    with witness.client() as client:
        thread = client.beta.threads.create()
        messages = client.beta.threads.messages
        made = [
            messages.create(thread.id, role=("user", "assistant")[n % 2], content=f"m{n}")
            for n in range(230)
        ]
        within = most_within_a_second([one.created_at for one in made])
        ids = [one.id for one in made]
        for limit in (9, 20, 100):
            assert [m.id for m in messages.list(thread.id, limit=limit, order="asc")] == ids
            assert [m.id for m in messages.list(thread.id, limit=limit)] == ids[::-1]
        client.beta.threads.delete(thread.id)
        return {"messages": len(ids), "within a second": within}


def most_within_a_second(times: list[int]) -> int:
    """Lists that order by the second alone would skip or repeat here."""
    most = max(times.count(one) for one in times)
    assert most > 1, "none were made within one second; the walk proves less than it should"
    return most
