"""Small steps that several walks take."""

from collections.abc import Callable
from typing import Any, TypeVar

import openai

__all__ = ["MODEL", "answer_of", "asked", "refused"]

MODEL = "speaker"
Refusal = TypeVar("Refusal", bound=openai.APIStatusError)


def refused(kind: type[Refusal], ask: Callable[[], Any]) -> Refusal:
    """The refusal of exactly this kind that ``ask`` gets."""
    caught: openai.APIStatusError | None = None
    try:
        ask()
    except openai.APIStatusError as error:
        caught = error
    assert type(caught) is kind, f"{kind.__name__} was expected, and not {caught!r}"
    return caught


def asked(client: openai.OpenAI, content: str, **more: Any) -> tuple[str, str]:
    """A new assistant, and a new thread that ends with this message: their ids."""
    assistant = client.beta.assistants.create(model=MODEL, instructions="Obey.", **more)
    thread = client.beta.threads.create(messages=[{"role": "user", "content": content}])
    return assistant.id, thread.id


def answer_of(client: openai.OpenAI, thread_id: str, run_id: str) -> str:
    """The text of the one message that a run left in its thread."""
    found = client.beta.threads.messages.list(thread_id, run_id=run_id).data
    assert len(found) == 1, found
    (part,) = found[0].content
    assert part.type == "text"
    return part.text.value
