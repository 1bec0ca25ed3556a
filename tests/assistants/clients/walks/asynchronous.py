"""The same through the asynchronous client."""

import asyncio
from typing import Any

from openai import AsyncAssistantEventHandler

from tests.assistants.clients.walks.objects import TOOL
from tests.assistants.clients.walks.people import MODEL
from tests.assistants.clients.walks.tools import ASK, calls_of
from tests.assistants.clients.walks.witness import Witness

__all__ = ["the_asynchronous_client_does_it_all"]


class _Handler(AsyncAssistantEventHandler):
    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self.witness = witness
        self.text = ""
        self.hooks: list[str] = []

    async def on_event(self, event: Any) -> None:
        self.witness.parsed(event)

    async def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.text += delta.value or ""
        assert snapshot.value == self.text

    async def on_message_done(self, message: Any) -> None:
        self.hooks.append("message done")
        assert message.content[0].text.value == self.text

    async def on_tool_call_done(self, tool_call: Any) -> None:
        self.hooks.append("call done")

    async def on_end(self) -> None:
        self.hooks.append("end")


def the_asynchronous_client_does_it_all(witness: Witness) -> Any:
    return asyncio.run(_walk(witness))


async def _walk(witness: Witness) -> Any:
    async with witness.async_client() as client:
        beta, runs = client.beta, client.beta.threads.runs
        assistant = await beta.assistants.create(model=MODEL, tools=[TOOL], name="Parallel")
        # Many at once, on threads of their own.
        done = await asyncio.gather(*(_talk(client, assistant.id, n) for n in range(8)))
        assert done == [f"Number {n}." for n in range(8)]
        listed = [one.id async for one in beta.assistants.list(limit=1)]
        assert assistant.id in listed
        assert len(listed) == len(set(listed))

        thread = await beta.threads.create(messages=[{"role": "user", "content": ASK}])
        handler = _Handler(witness)
        async with runs.stream(
            thread_id=thread.id, assistant_id=assistant.id, event_handler=handler
        ) as stream:
            run = await stream.get_final_run()
        assert run.status == "requires_action"
        assert handler.hooks == ["call done", "end"]
        (call,) = calls_of(run)
        after = _Handler(witness)
        async with runs.submit_tool_outputs_stream(
            run_id=run.id,
            thread_id=thread.id,
            tool_outputs=[{"tool_call_id": call.id, "output": "9"}],
            event_handler=after,
        ) as stream:
            await stream.until_done()
        assert after.text == "Told: 9"
        # The step of the calls is over first, and its hook is the client's affair.
        assert after.hooks[-2:] == ["message done", "end"]

        other = await beta.threads.create(messages=[{"role": "user", "content": ASK}])
        run = await runs.create_and_poll(
            thread_id=other.id, assistant_id=assistant.id, poll_interval_ms=20
        )
        (call,) = calls_of(run)
        run = await runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=other.id,
            tool_outputs=[{"tool_call_id": call.id, "output": "10"}],
            poll_interval_ms=20,
        )
        assert run.status == "completed"
        gone = await beta.threads.delete(other.id)
        assert gone.deleted
        return done


async def _talk(client: Any, assistant_id: str, number: int) -> str:
    run = await client.beta.threads.create_and_run_poll(
        assistant_id=assistant_id,
        thread={"messages": [{"role": "user", "content": f"say Number {number}."}]},
        poll_interval_ms=20,
    )
    assert run.status == "completed"
    messages = await client.beta.threads.messages.list(run.thread_id, order="desc", limit=1)
    return str(messages.data[0].content[0].text.value)
