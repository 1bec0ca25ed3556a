"""Calls and their outputs: all of them, once, and never one without the other in a thread."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.assistants.asking import TOOL, TWO_CALLS, USAGE, Asker, calls_stream, names
from tests.servers.answers import openai_stream


def test_calls_wait_for_all_their_outputs(asker: Asker) -> None:
    asker.door.answers(calls_stream(TWO_CALLS), openai_stream(["18 and 25."], usage=USAGE))
    thread_id = asker.thread("Weather?")
    run = asker.run(thread_id, asker.assistant(tools=[TOOL]), tool_choice="required")
    assert (run["status"], run["usage"]) == ("requires_action", None)
    action = run["required_action"]
    assert action["type"] == "submit_tool_outputs"
    calls = action["submit_tool_outputs"]["tool_calls"]
    assert [set(call) for call in calls] == [{"id", "type", "function"}] * 2
    assert [call["id"] for call in calls] == ["call_1", "call_2"]
    path = f"{asker.path(run)}/submit_tool_outputs"

    def outputs(*ids: str) -> dict[str, Any]:
        return {"tool_outputs": [{"tool_call_id": one, "output": "18"} for one in ids]}

    for ids in (["call_1"], ["call_1", "call_2", "call_3"], ["call_1", "call_1"], ["other"]):
        error = asker.refused("POST", path, outputs(*ids))
        assert error["param"].startswith("tool_outputs")
    asker.refused("POST", path, {"tool_outputs": []}, 422)
    asker.refused("POST", path, {"tool_outputs": [{"output": "18"}]}, 422)
    assert asker.get(asker.path(run)) == run, "nothing has happened"
    assert len(asker.get(f"/threads/{thread_id}/messages")["data"]) == 1

    done = asker.submit(run, {"call_2": "25 degrees", "call_1": "18 degrees"})
    assert done["status"] == "completed"
    assert done["required_action"] is None
    assert done["usage"] == {name: 2 * tokens for name, tokens in USAGE.items()}
    first, second = (seen.json for seen in asker.door.asked)
    assert first["tool_choice"] == "required"
    assert second.get("tool_choice", "auto") == "auto", "forced for ever it would never answer"
    _, asked, *results = second["messages"]
    assert [call["id"] for call in asked["tool_calls"]] == ["call_1", "call_2"]
    assert [(r["role"], r["tool_call_id"], r["content"]) for r in results] == [
        ("tool", "call_1", "18 degrees"),
        ("tool", "call_2", "25 degrees"),
    ]
    step = asker.get(f"{asker.path(run)}/steps?order=asc")["data"][0]
    assert (step["type"], step["status"]) == ("tool_calls", "completed")
    shown = [call["function"]["output"] for call in step["step_details"]["tool_calls"]]
    assert shown == ["18 degrees", "25 degrees"]
    error = asker.refused("POST", path, outputs("call_1", "call_2"))
    assert "completed" in error["message"]
    # Calls and results are part of the conversation, and no messages.
    assert [role for role, _ in asker.texts(thread_id)] == ["user", "assistant"]


def test_one_of_two_submits_wins(asker: Asker) -> None:
    asker.door.answers(calls_stream(), openai_stream(["18."], usage=USAGE))
    run = asker.run(asker.thread("Weather?"), asker.assistant(tools=[TOOL]))
    path = f"{asker.path(run)}/submit_tool_outputs"
    body = {"tool_outputs": [{"tool_call_id": "call_1", "output": "18"}]}
    with ThreadPoolExecutor(6) as pool:
        tried = [pool.submit(asker.ask, "POST", path, body) for _ in range(6)]
    assert sorted(one.result().status for one in tried) == [200, *[400] * 5]
    asker.until(run, "completed")
    assert len(asker.door.asked) == 2


def test_calls_with_the_same_id_are_told_apart(asker: Asker) -> None:
    twice = [*TWO_CALLS[:-1], {**TWO_CALLS[-1], "id": "call_1"}]
    asker.door.answers(calls_stream(twice), openai_stream(["18."], usage=USAGE))
    run = asker.run(asker.thread("Weather?"), asker.assistant(tools=[TOOL]))
    calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = {call["id"]: call["function"]["arguments"] for call in calls}
    assert len(outputs) == 2
    assert asker.submit(run, outputs)["status"] == "completed"


def test_a_run_that_waits_is_cancelled(asker: Asker) -> None:
    asker.door.answers(calls_stream(), openai_stream(["Hello"], usage=USAGE))
    thread_id, assistant_id = asker.thread("Weather?"), asker.assistant(tools=[TOOL])
    run = asker.run(thread_id, assistant_id)
    done = asker.post(f"{asker.path(run)}/cancel", {})
    assert (done["status"], done["required_action"]) == ("cancelled", None)
    assert done["usage"] == USAGE, "what was used stays used"
    (step,) = asker.get(f"{asker.path(run)}/steps")["data"]
    assert (step["status"], step["cancelled_at"]) == ("cancelled", done["cancelled_at"])
    assert "cancelled" in asker.refused("POST", f"{asker.path(run)}/cancel", {})["message"]
    assert asker.run(thread_id, assistant_id)["status"] == "completed"
    # The thread never holds a call without its result.
    assert [m["role"] for m in asker.door.asked[1].json["messages"]] == ["user"]


def test_limits_stand_over_all_generations_of_a_run(asker: Asker) -> None:
    answers = [calls_stream(), openai_stream(["18."], usage=USAGE)]
    assistant_id = asker.assistant(tools=[TOOL])
    for limit, left in ((10, 7), (3, None)):
        asker.door.answers(*answers)
        run = asker.run(asker.thread("Weather?"), assistant_id, max_completion_tokens=limit)
        done = asker.submit(run, {"call_1": "18"})
        if left is None:
            assert done["incomplete_details"] == {"reason": "max_completion_tokens"}
            assert len(asker.door.asked) == 1
        else:
            assert asker.door.asked[1].json["max_tokens"] == left
    run = asker.run(asker.thread("Weather in this very long message?"), assistant_id,
                    max_prompt_tokens=5)  # fmt: skip
    assert run["incomplete_details"] == {"reason": "max_prompt_tokens"}
    assert run["status"] == "incomplete"


def test_calls_that_are_cut_off_are_not_made(asker: Asker) -> None:
    asker.door.answers(calls_stream(finish="length"), openai_stream(["a"]))
    thread_id, assistant_id = asker.thread("Weather?"), asker.assistant(tools=[TOOL])
    events = asker.run_stream(thread_id, assistant_id)
    assert names(events)[-3:] == [
        "thread.run.step.cancelled",
        "thread.run.incomplete",
        "done",
    ]
    run = events[-2].json
    (step,) = asker.get(f"{asker.path(run)}/steps")["data"]
    assert step["status"] == "cancelled"
    assert asker.run(thread_id, assistant_id)["status"] == "completed"
    assert [m["role"] for m in asker.door.asked[1].json["messages"]] == ["user"]
