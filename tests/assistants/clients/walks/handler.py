"""An event handler that writes down what it was called for, and how streams are compared."""

from typing import Any

from openai import AssistantEventHandler

from tests.assistants.clients.walks.witness import Witness

__all__ = ["Handler", "folded"]


class Handler(AssistantEventHandler):
    """Notes which hooks were called, in order, and what the last of them were given."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self.witness = witness
        self.hooks: list[str] = []
        self.events: list[str] = []
        self.pieces: list[str] = []
        self.snapshot = ""
        self.calls: list[Any] = []

    def on_event(self, event: Any) -> None:
        self.witness.parsed(event)
        self.events.append(event.event)

    def on_run_step_created(self, run_step: Any) -> None:
        self.hooks.append(f"step created {run_step.type}")

    def on_run_step_delta(self, delta: Any, snapshot: Any) -> None:
        self.hooks.append("step delta")

    def on_run_step_done(self, run_step: Any) -> None:
        self.hooks.append(f"step done {run_step.type}")

    def on_tool_call_created(self, tool_call: Any) -> None:
        self.hooks.append("call created")

    def on_tool_call_delta(self, delta: Any, snapshot: Any) -> None:
        self.hooks.append("call delta")

    def on_tool_call_done(self, tool_call: Any) -> None:
        self.hooks.append("call done")
        self.calls.append(tool_call)

    def on_message_created(self, message: Any) -> None:
        self.hooks.append("message created")

    def on_message_delta(self, delta: Any, snapshot: Any) -> None:
        self.hooks.append("message delta")

    def on_message_done(self, message: Any) -> None:
        self.hooks.append("message done")
        self.snapshot = message.content[0].text.value

    def on_text_created(self, text: Any) -> None:
        self.hooks.append("text created")

    def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.hooks.append("text delta")
        self.pieces.append(delta.value or "")
        assert snapshot.value == "".join(self.pieces)

    def on_text_done(self, text: Any) -> None:
        self.hooks.append("text done")

    def on_end(self) -> None:
        self.hooks.append("end")

    def on_exception(self, exception: Exception) -> None:
        self.hooks.append("exception")


def folded(names: list[str], *repeated: str) -> list[str]:
    """The names with repetitions of what may come often left out."""
    often = repeated or ("thread.message.delta", "thread.run.step.delta")
    result: list[str] = []
    for name in names:
        if name not in often or name not in result[-len(often) :]:
            result.append(name)
    return result
