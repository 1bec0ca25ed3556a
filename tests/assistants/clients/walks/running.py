"""Runs: polled, streamed, cancelled, failed, cut short."""

import json
from typing import Any

import openai

from tests.assistants.clients.walks.handler import Handler, folded
from tests.assistants.clients.walks.people import answer_of, asked
from tests.assistants.clients.walks.witness import Witness

__all__ = [
    "a_cancelled_run_keeps_what_was_said",
    "a_failed_run_says_why",
    "a_run_is_cut_at_its_tokens",
    "a_run_is_polled",
    "a_stream_is_handled",
    "a_thread_is_created_and_run",
    "the_raw_stream_is_strict",
]

TEXT_ORDER = [
    "thread.run.created",
    "thread.run.queued",
    "thread.run.in_progress",
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
    "thread.message.completed",
    "thread.run.step.completed",
    "thread.run.completed",
]


def a_run_is_polled(witness: Witness) -> Any:
    with witness.client() as client:
        assistant_id, thread_id = asked(client, "say It is five.")
        runs = client.beta.threads.runs
        run = runs.create_and_poll(
            thread_id=thread_id,
            assistant_id=assistant_id,
            temperature=0,
            metadata={"n": "1"},
            poll_interval_ms=20,
        )
        assert run.status == "completed", run
        assert run.temperature == 0
        assert run.usage is not None
        assert run.usage.total_tokens == run.usage.prompt_tokens + run.usage.completion_tokens > 0
        times = [run.created_at, run.started_at, run.completed_at]
        assert None not in times
        assert times == sorted(times, key=lambda at: at or 0)
        assert (run.cancelled_at, run.failed_at, run.last_error) == (None, None, None)
        assert run.required_action is None
        assert answer_of(client, thread_id, run.id) == "It is five."
        assert runs.retrieve(run.id, thread_id=thread_id) == run
        changed = runs.update(run.id, thread_id=thread_id, metadata={"n": "2"})
        assert changed.metadata == {"n": "2"}
        client.beta.threads.messages.create(thread_id, role="user", content="say Again.")
        other = runs.create_and_poll(
            thread_id=thread_id, assistant_id=assistant_id, poll_interval_ms=20
        )
        assert [one.id for one in runs.list(thread_id, order="asc", limit=1)] == [run.id, other.id]
        (step,) = runs.steps.list(run.id, thread_id=thread_id).data
        assert (step.type, step.status) == ("message_creation", "completed")
        assert runs.steps.retrieve(step.id, thread_id=thread_id, run_id=run.id) == step
        order = [(m.role, m.run_id is None) for m in client.beta.threads.messages.list(thread_id)]
        assert order == [("assistant", False), ("user", True)] * 2
        return run.id


def a_thread_is_created_and_run(witness: Witness) -> Any:
    with witness.client() as client:
        assistant_id, _ = asked(client, "say unused")
        thread: Any = {"messages": [{"role": "user", "content": "say Hello there."}]}
        run = client.beta.threads.create_and_run_poll(
            assistant_id=assistant_id, thread=thread, poll_interval_ms=20
        )
        assert run.status == "completed"
        assert answer_of(client, run.thread_id, run.id) == "Hello there."
        with client.beta.threads.create_and_run_stream(
            assistant_id=assistant_id, thread=thread
        ) as stream:
            names: list[str] = []
            for event in stream:
                witness.parsed(event)
                names.append(event.event)
            final = stream.get_final_run()
        assert final.status == "completed"
        assert folded(names) == ["thread.created", *TEXT_ORDER]
        return run.id


def a_stream_is_handled(witness: Witness) -> Any:
    with witness.client() as client:
        assistant_id, thread_id = asked(client, "slowly 3 0.2")
        handler = Handler(witness)
        with client.beta.threads.runs.stream(
            thread_id=thread_id, assistant_id=assistant_id, event_handler=handler
        ) as stream:
            stream.until_done()
            run = stream.get_final_run()
            (message,) = stream.get_final_messages()
            (step,) = stream.get_final_run_steps()
        assert run.status == "completed"
        assert run.usage is not None
        assert folded(handler.events) == TEXT_ORDER
        assert folded(handler.hooks, "text delta", "message delta") == [
            "step created message_creation",
            "message created",
            "text created",
            "text delta",
            "message delta",
            "text done",
            "message done",
            "step done message_creation",
            "end",
        ]
        assert len(handler.pieces) > 1
        assert "".join(handler.pieces) == handler.snapshot == "w0 w1 w2 "
        messages = client.beta.threads.messages
        assert messages.retrieve(message.id, thread_id=thread_id) == message
        assert client.beta.threads.runs.retrieve(run.id, thread_id=thread_id) == run
        stored = client.beta.threads.runs.steps.retrieve(
            step.id, thread_id=thread_id, run_id=run.id
        )
        assert stored.status == "completed"
        return {"hooks": len(handler.hooks)}


def the_raw_stream_is_strict(witness: Witness) -> Any:
    with witness.client() as client:
        assistant_id, thread_id = asked(client, "say One two three.")
        seen: list[tuple[str, str]] = []
        with client.beta.threads.runs.with_streaming_response.create(
            thread_id=thread_id, assistant_id=assistant_id, stream=True
        ) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            name = ""
            for line in response.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    seen.append((name, value))
        assert seen.pop() == ("done", "[DONE]")
        for name, data in seen:
            witness.event(name, data)
        assert folded([name for name, _ in seen]) == TEXT_ORDER
        ids = {json.loads(data)["id"] for name, data in seen if name.startswith("thread.message")}
        assert len(ids) == 1, "the id of a message changes while it is streamed"
        marked = [
            "annotations" in json.loads(data)["delta"]["content"][0]["text"]
            for name, data in seen
            if name == "thread.message.delta"
        ]
        assert marked == [True] + [False] * (len(marked) - 1)
        return {"events": len(seen)}


def a_cancelled_run_keeps_what_was_said(witness: Witness) -> Any:
    with witness.client() as client:
        assistant_id, thread_id = asked(client, "stall")
        runs, messages = client.beta.threads.runs, client.beta.threads.messages
        run_id = ""
        with runs.stream(thread_id=thread_id, assistant_id=assistant_id) as stream:
            for event in stream:
                witness.parsed(event)
                if event.event == "thread.run.created":
                    run_id = event.data.id
                elif event.event == "thread.message.delta":
                    asked_for = runs.cancel(run_id, thread_id=thread_id)
                    assert asked_for.status in {"cancelling", "cancelled"}
            final = stream.get_final_run()
        assert final.status == "cancelled"
        assert final.cancelled_at is not None
        run = runs.poll(run_id, thread_id=thread_id, poll_interval_ms=20)
        assert run.status == "cancelled"
        (message,) = messages.list(thread_id, run_id=run_id).data
        assert message.status == "incomplete"
        assert message.incomplete_details is not None
        assert message.incomplete_details.reason == "run_cancelled"
        (part,) = message.content
        assert part.type == "text"
        assert part.text.value == "Well"
        # The thread is free again.
        messages.create(thread_id, role="user", content="say Go on.")
        after = runs.create_and_poll(
            thread_id=thread_id, assistant_id=assistant_id, poll_interval_ms=20
        )
        assert after.status == "completed"
        return run_id


def a_failed_run_says_why(witness: Witness) -> Any:
    with witness.client() as client:
        assistant_id, thread_id = asked(client, "fail")
        runs = client.beta.threads.runs
        run = runs.create_and_poll(
            thread_id=thread_id, assistant_id=assistant_id, poll_interval_ms=20
        )
        assert run.status == "failed"
        assert run.failed_at is not None
        assert run.last_error is not None
        assert run.last_error.code in {"server_error", "rate_limit_exceeded", "invalid_prompt"}
        assert run.last_error.message
        said = ""
        try:
            with runs.stream(thread_id=thread_id, assistant_id=assistant_id) as stream:
                for event in stream:
                    if event.event == "thread.run.failed" and event.data.last_error is not None:
                        said = event.data.last_error.message
        except openai.APIError as error:
            said = error.message
        assert said
        return said


def a_run_is_cut_at_its_tokens(witness: Witness) -> Any:
    with witness.client() as client:
        assistant_id, thread_id = asked(client, "long A b c")
        run = client.beta.threads.runs.create_and_poll(
            thread_id=thread_id,
            assistant_id=assistant_id,
            max_completion_tokens=3,
            poll_interval_ms=20,
        )
        assert run.status == "incomplete"
        assert run.max_completion_tokens == 3
        assert run.incomplete_details is not None
        assert run.incomplete_details.reason == "max_completion_tokens"
        (message,) = client.beta.threads.messages.list(thread_id, run_id=run.id).data
        assert message.status == "incomplete"
        assert message.incomplete_details is not None
        assert message.incomplete_details.reason == "max_tokens"
        return run.id
