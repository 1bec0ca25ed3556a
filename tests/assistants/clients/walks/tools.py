"""Function tools: the calls that a run asks for, their outputs, and answers bound by a schema."""

import functools
import json
from typing import Any

import openai

from tests.assistants.clients.walks.handler import Handler, folded
from tests.assistants.clients.walks.objects import TOOL
from tests.assistants.clients.walks.people import answer_of, asked, refused
from tests.assistants.clients.walks.running import TEXT_ORDER
from tests.assistants.clients.walks.witness import Witness

__all__ = [
    "an_answer_follows_its_schema",
    "outputs_are_polled",
    "outputs_are_streamed",
    "two_calls_want_two_outputs",
]

ASK = 'call get_price {"name": "ACME"}'


def outputs_are_polled(witness: Witness) -> Any:
    with witness.client() as client:
        assistant_id, thread_id = asked(client, ASK, tools=[TOOL])
        runs = client.beta.threads.runs
        run = runs.create_and_poll(
            thread_id=thread_id, assistant_id=assistant_id, poll_interval_ms=20
        )
        assert run.status == "requires_action"
        assert run.usage is None
        assert run.completed_at is None
        (call,) = calls_of(run)
        assert call.function.name == "get_price"
        assert json.loads(call.function.arguments) == {"name": "ACME"}
        (open_step,) = runs.steps.list(run.id, thread_id=thread_id).data
        assert (open_step.type, open_step.status) == ("tool_calls", "in_progress")
        done = runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=thread_id,
            tool_outputs=[{"tool_call_id": call.id, "output": "12.50"}],
            poll_interval_ms=20,
        )
        assert done.status == "completed"
        assert done.id == run.id
        assert done.required_action is None
        assert done.usage is not None
        assert answer_of(client, thread_id, run.id) == "Told: 12.50"
        first, second = runs.steps.list(run.id, thread_id=thread_id, order="asc").data
        assert (first.type, first.status, first.id) == ("tool_calls", "completed", open_step.id)
        assert first.step_details.type == "tool_calls"
        (kept,) = first.step_details.tool_calls
        assert kept.type == "function"
        assert (kept.id, kept.function.output) == (call.id, "12.50")
        assert (second.type, second.status) == ("message_creation", "completed")
        found = runs.steps.retrieve(first.id, thread_id=thread_id, run_id=run.id)
        assert found == first
        late = refused(
            openai.BadRequestError,
            lambda: runs.submit_tool_outputs(
                run.id,
                thread_id=thread_id,
                tool_outputs=[{"tool_call_id": call.id, "output": "13"}],
            ),
        )
        return str(late)


def calls_of(run: Any) -> Any:
    assert run.required_action is not None
    assert run.required_action.type == "submit_tool_outputs"
    return run.required_action.submit_tool_outputs.tool_calls


def outputs_are_streamed(witness: Witness) -> Any:
    with witness.client() as client:
        assistant_id, thread_id = asked(client, ASK, tools=[TOOL])
        runs = client.beta.threads.runs
        handler = Handler(witness)
        with runs.stream(
            thread_id=thread_id, assistant_id=assistant_id, event_handler=handler
        ) as stream:
            run = stream.get_final_run()
        assert run.status == "requires_action"
        assert folded(handler.events) == [
            "thread.run.created",
            "thread.run.queued",
            "thread.run.in_progress",
            "thread.run.step.created",
            "thread.run.step.in_progress",
            "thread.run.step.delta",
            "thread.run.requires_action",
        ]
        assert folded(handler.hooks, "call delta", "step delta") == [
            "step created tool_calls",
            "call created",
            "step delta",
            "call delta",
            "call done",
            "end",
        ]
        (call,) = calls_of(run)
        # What the pieces add up to is what is asked for at the end.
        told = handler.calls[-1]
        assert (told.id, told.function.name) == (call.id, call.function.name)
        assert told.function.arguments == call.function.arguments
        after = Handler(witness)
        with runs.submit_tool_outputs_stream(
            run_id=run.id,
            thread_id=thread_id,
            tool_outputs=[{"tool_call_id": call.id, "output": "12.50"}],
            event_handler=after,
        ) as stream:
            final = stream.get_final_run()
        assert final.status == "completed"
        assert folded(after.events) == ["thread.run.step.completed", *TEXT_ORDER[1:]]
        assert after.snapshot == "Told: 12.50" == answer_of(client, thread_id, run.id)
        return {"events": len(handler.events) + len(after.events)}


def two_calls_want_two_outputs(witness: Witness) -> Any:
    with witness.client() as client:
        ask = 'call2 get_price {"name": "A"} {"name": "B"}'
        assistant_id, thread_id = asked(client, ask, tools=[TOOL])
        runs = client.beta.threads.runs
        run = runs.create_and_poll(
            thread_id=thread_id, assistant_id=assistant_id, poll_interval_ms=20
        )
        calls = calls_of(run)
        assert [json.loads(call.function.arguments)["name"] for call in calls] == ["A", "B"]
        outputs: list[Any] = [
            {"tool_call_id": call.id, "output": f"{n}"} for n, call in enumerate(calls)
        ]
        for wrong in (outputs[:1], [*outputs, {"tool_call_id": "call_none", "output": "x"}]):
            refused(
                openai.BadRequestError,
                functools.partial(
                    runs.submit_tool_outputs, run.id, thread_id=thread_id, tool_outputs=wrong
                ),
            )
        # A refusal changes nothing.
        assert runs.retrieve(run.id, thread_id=thread_id) == run
        done = runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=thread_id,
            tool_outputs=outputs[::-1],
            poll_interval_ms=20,
        )
        assert done.status == "completed"
        assert answer_of(client, thread_id, run.id) == "Told: 0, 1"
        return run.id


def an_answer_follows_its_schema(witness: Witness) -> Any:
    """Asked of the real model: the scripted one would say anything."""
    schema = {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
        "required": ["steps"],
        "additionalProperties": False,
    }
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "plan", "schema": schema}}
    with witness.client() as client:
        assistant = client.beta.assistants.create(model="nova-tiny", response_format=wanted)
        assert assistant.response_format is not None
        content = "Make a plan as JSON: add 2 and 3, then greet Ada."
        run = client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id,
            thread={"messages": [{"role": "user", "content": content}]},
            temperature=0,
            max_completion_tokens=300,
            poll_interval_ms=20,
        )
        assert run.status == "completed", run
        said = json.loads(answer_of(client, run.thread_id, run.id))
        assert set(said) == {"steps"}
        assert all(isinstance(step, str) for step in said["steps"])
        return said
