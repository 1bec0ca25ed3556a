"""Runs: every field, what is in force in them, and what engines are asked."""

from typing import Any

import pytest

from tests.assistants.asking import TOOL, USAGE, Asker
from tests.servers.answers import Sleep, Stall, Step, openai_stream

RUN = {
    "id", "object", "created_at", "thread_id", "assistant_id", "status", "required_action",
    "last_error", "expires_at", "started_at", "cancelled_at", "failed_at", "completed_at",
    "incomplete_details", "model", "instructions", "tools", "metadata", "usage", "temperature",
    "top_p", "max_prompt_tokens", "max_completion_tokens", "truncation_strategy", "truncation",
    "tool_choice", "parallel_tool_calls", "response_format",
}  # fmt: skip


STEP = {
    "id", "object", "created_at", "assistant_id", "thread_id", "run_id", "type", "status",
    "step_details", "last_error", "expired_at", "cancelled_at", "failed_at", "completed_at",
    "metadata", "usage",
}  # fmt: skip


SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}}


def stalled() -> list[Step]:
    """An answer that begins and never ends."""
    return [*openai_stream(["Hel"], finish=None, done=False)[:-1], Stall()]


def test_a_run_has_every_field(asker: Asker) -> None:
    asker.door.answers([Sleep(0.3), *openai_stream(["Hello"], usage=USAGE)])
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant(instructions="Be brief.")
    begun = asker.start(thread_id, assistant_id)
    assert set(begun) == RUN
    assert begun["status"] in {"queued", "in_progress"}
    assert (begun["usage"], begun["truncation"]) == (None, None)
    assert begun["expires_at"] - begun["created_at"] == 600
    defaults = {
        "model": "scripted",
        "instructions": "Be brief.",
        "tools": [],
        "metadata": {},
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "response_format": "auto",
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "max_prompt_tokens": None,
        "temperature": None,
    }
    assert {name: begun[name] for name in defaults} == defaults
    done = asker.until(begun, "completed")
    assert set(done) == RUN
    assert (done["usage"], done["truncation"]) == (USAGE, {"left_out_items": 0})
    assert done["started_at"] <= done["completed_at"]
    (step,) = asker.get(f"{asker.path(done)}/steps")["data"]
    assert set(step) == STEP
    message = asker.get(f"/threads/{thread_id}/messages?limit=1")["data"][0]
    assert step["step_details"] == {
        "type": "message_creation",
        "message_creation": {"message_id": message["id"]},
    }
    assert (message["token_count"], message["token_count_exact"]) == (3, True)


def test_the_request_is_in_force_over_the_assistant(asker: Asker) -> None:
    asker.door.answers(openai_stream(["{}"], usage=USAGE))
    assistant_id = asker.assistant(
        instructions="Be brief.", temperature=1, top_p=1, metadata={"a": "b"}, tools=[TOOL]
    )
    given: dict[str, Any] = {
        "model": "gpt-4",
        "instructions": "Be kind.",
        "temperature": 0,
        "top_p": 0,
        "max_completion_tokens": 9,
        "max_prompt_tokens": 1000,
        "tools": [],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "sum", "schema": SCHEMA},
        },
        "metadata": {"c": "d"},
        "truncation_strategy": {"type": "last_messages", "last_messages": 1},
        "parallel_tool_calls": False,
    }
    more = {"additional_instructions": "And short.", "additional_messages": []}
    run = asker.run(asker.thread("Old.", "Hi."), assistant_id, **given, **more)
    shown = {**given, "instructions": "Be kind.\nAnd short."}
    assert {name: run[name] for name in shown} == shown
    asked = asker.door.asked[0].json
    assert asked["model"] == "scripted", "an alias leads to the model"
    assert asked["messages"] == [
        {"role": "system", "content": "Be kind.\nAnd short."},
        {"role": "user", "content": "Hi."},
    ]
    assert (asked["temperature"], asked["top_p"]) == (0, 0), "zero is a value"
    assert asked["max_tokens"] == 9
    assert asked["response_format"]["json_schema"]["schema"] == SCHEMA
    assert "tools" not in asked
    assert run["truncation"] == {"left_out_items": 1}


def test_an_assistant_s_own_values_reach_the_engine(asker: Asker) -> None:
    asker.door.answers(openai_stream(["a"], usage=USAGE))
    assistant_id = asker.assistant(temperature=0, top_p=0, tools=[TOOL])
    thread_id = asker.thread("Hi.")
    run = asker.run(thread_id, assistant_id, tool_choice="none", parallel_tool_calls=True)
    assert (run["temperature"], run["top_p"], run["tools"]) == (0, 0, [TOOL])
    asked = asker.door.asked[0].json
    assert (asked["temperature"], asked["top_p"]) == (0, 0)
    # What changes later changes no run.
    asker.post(f"/assistants/{assistant_id}", {"temperature": 1, "instructions": "New."})
    assert asker.get(asker.path(run)) == run


def test_additional_messages_stand_before_the_answer_for_good(asker: Asker) -> None:
    asker.door.answers(openai_stream(["c"], usage=USAGE))
    thread_id = asker.thread("a")
    more = [{"role": "user", "content": "b", "metadata": {"k": "v"}}]
    asker.run(thread_id, asker.assistant(), additional_messages=more)
    assert [text for _, text in asker.texts(thread_id)] == ["a", "b", "c"]
    assert [m["content"] for m in asker.door.asked[0].json["messages"]] == ["a", "b"]


def test_an_unknown_model_is_a_404_before_anything_is_stored(asker: Asker) -> None:
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant(model="absent")
    more = {"additional_messages": [{"role": "user", "content": "b"}]}
    body = {"assistant_id": assistant_id, **more}
    error = asker.refused("POST", f"/threads/{thread_id}/runs", body, 404)
    assert error["code"] == "model_not_found"
    assert asker.texts(thread_id) == [("user", "Hi.")]
    assert asker.get(f"/threads/{thread_id}/runs")["data"] == []
    streamed = {"assistant_id": assistant_id, "stream": True}
    assert asker.refused("POST", "/threads/runs", streamed, 404)["code"] == "model_not_found"


_CANNOT: dict[str, dict[str, Any]] = {
    "tool_choice without tools": {"tool_choice": "required"},
    "tool_choice of an absent tool": {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "absent"}},
    },
    "tool_choice of another kind": {"tools": [TOOL], "tool_choice": {"type": "file_search"}},
    "a format without a schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n"}}
    },
    "last messages without a number": {"truncation_strategy": {"type": "last_messages"}},
    "a number without last messages": {"truncation_strategy": {"type": "auto", "last_messages": 1}},
}


@pytest.mark.parametrize("name", _CANNOT)
def test_what_cannot_be_run_is_a_400_and_no_run(asker: Asker, name: str) -> None:
    thread_id = asker.thread("Hi.")
    body = {"assistant_id": asker.assistant(), **_CANNOT[name]}
    error = asker.refused("POST", f"/threads/{thread_id}/runs", body)
    assert error["param"].split(".")[0] in _CANNOT[name]
    assert asker.get(f"/threads/{thread_id}/runs")["data"] == []


def test_a_run_s_metadata_change_at_any_time(asker: Asker) -> None:
    asker.door.answers(openai_stream(["a"], usage=USAGE))
    run = asker.run(asker.thread("Hi."), asker.assistant(), metadata={"a": "b"})
    changed = asker.post(asker.path(run), {"metadata": {"c": "d"}})
    assert changed == {**run, "metadata": {"c": "d"}}
    assert asker.post(asker.path(run), {}) == changed
    assert asker.refused("POST", asker.path(run), {"status": "failed"})["param"] == "status"


def test_the_beta_header_is_accepted_and_not_needed(asker: Asker) -> None:
    body = {"model": "scripted"}
    for headers in ({}, {"openai-beta": "assistants=v2"}, {"openai-beta": "assistants=v1"}):
        assert asker.ask("POST", "/assistants", body, headers).status == 201
