"""One run a thread, and every run ends: done, failed, expired or incomplete."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.assistants.asking import TOOL, USAGE, Asker, calls_stream, names
from tests.http.doors import open_door
from tests.http.wire import eventually
from tests.servers.answers import Stall, Step, json_answer, openai_stream


def stalled() -> list[Step]:
    """An answer that begins and never ends."""
    return [*openai_stream(["Hel"], finish=None, done=False)[:-1], Stall()]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """A server whose runs have two seconds."""
    settings = {"NOVA_RUN_EXPIRES_S": "2", "NOVA_BETWEEN_TOKENS_TIMEOUT_S": "60"}
    with open_door(tmp_path_factory.mktemp("hasty"), settings) as door:
        yield Asker(door)


def test_a_busy_thread_is_a_400_that_names_thread_and_run(asker: Asker) -> None:
    asker.door.answers(stalled())
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant()
    run = asker.start(thread_id, assistant_id)
    more: list[dict[str, Any]] = [
        {},
        {"stream": True},
        {"additional_messages": [{"role": "user", "content": "lost"}]},
    ]
    for options in more:
        body = {"assistant_id": assistant_id, **options}
        error = asker.refused("POST", f"/threads/{thread_id}/runs", body)
        assert thread_id in error["message"]
        assert run["id"] in error["message"]
    message = {"role": "user", "content": "lost"}
    error = asker.refused("POST", f"/threads/{thread_id}/messages", message)
    assert run["id"] in error["message"]
    asker.post(f"{asker.path(run)}/cancel", {})
    asker.until(run, "cancelled")
    assert "lost" not in str(asker.texts(thread_id))
    asker.post(f"/threads/{thread_id}/messages", message, 201)


def test_of_runs_that_come_at_once_one_has_the_thread(asker: Asker) -> None:
    asker.door.answers(stalled())
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant()
    body = {"assistant_id": assistant_id}
    with ThreadPoolExecutor(8) as pool:
        tried = [
            pool.submit(asker.ask, "POST", f"/threads/{thread_id}/runs", body) for _ in range(8)
        ]
    assert sorted(one.result().status for one in tried) == [201, *[400] * 7]
    (run,) = asker.get(f"/threads/{thread_id}/runs")["data"]
    asker.post(f"{asker.path(run)}/cancel", {})
    asker.until(run, "cancelled")


def test_a_run_that_waits_too_long_expires(hasty: Asker) -> None:
    hasty.door.answers(calls_stream(), openai_stream(["Hello"], usage=USAGE))
    thread_id, assistant_id = hasty.thread("Weather?"), hasty.assistant(tools=[TOOL])
    run = hasty.run(thread_id, assistant_id)
    assert run["status"] == "requires_action"
    assert run["expires_at"] - run["created_at"] == 2
    with hasty.watching("GET", f"{hasty.path(run)}?stream=true", headers={"last-event-id": "3"}):
        pass
    done = hasty.until(run, "expired")
    assert (done["required_action"], done["expires_at"]) == (None, None)
    (step,) = hasty.get(f"{hasty.path(run)}/steps")["data"]
    assert step["status"] == "expired"
    assert step["expired_at"] is not None
    later = names(hasty.again(run))
    assert later[-3:] == ["thread.run.step.expired", "thread.run.expired", "done"]
    body = {"tool_outputs": [{"tool_call_id": "call_1", "output": "18"}]}
    error = hasty.refused("POST", f"{hasty.path(run)}/submit_tool_outputs", body)
    assert "expired" in error["message"]
    assert hasty.run(thread_id, assistant_id)["status"] == "completed"


def test_a_run_that_hangs_expires_and_lets_go_of_its_thread(hasty: Asker) -> None:
    hasty.door.answers(stalled(), openai_stream(["Hello"], usage=USAGE))
    thread_id, assistant_id = hasty.thread("Hi."), hasty.assistant()
    run = hasty.run(thread_id, assistant_id)
    assert run["status"] == "expired"
    message = hasty.get(f"/threads/{thread_id}/messages")["data"][0]
    assert message["status"] == "incomplete"
    assert message["incomplete_details"] == {"reason": "run_expired"}
    assert message["incomplete_at"] is not None
    assert message["content"][0]["text"]["value"] == "Hel"
    (step,) = hasty.get(f"{hasty.path(run)}/steps")["data"]
    assert step["status"] == "expired"
    assert eventually(lambda: hasty.door.asked[0].client_left_at_ns)
    assert hasty.run(thread_id, assistant_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (json_answer(500, {"error": {"message": "boom"}}), "server_error"),
        (
            json_answer(400, {"error": {"message": "the context length is exceeded",
                                        "code": "context_length_exceeded"}}),
            "invalid_prompt",
        ),
    ],
    ids=["server_error", "invalid_prompt"],
)  # fmt: skip
def test_a_failure_has_one_of_the_contract_s_codes(
    asker: Asker, answer: list[Step], code: str
) -> None:
    asker.door.answers(answer)
    thread_id, assistant_id = asker.thread("Hi."), asker.assistant()
    run = asker.run(thread_id, assistant_id)
    assert run["status"] == "failed"
    assert run["last_error"]["code"] == code
    assert run["failed_at"] is not None
    asker.door.answers(openai_stream(["a"]))
    assert asker.run(thread_id, assistant_id)["usage"] is None, "the engine did not say"


def test_the_answer_s_limit_makes_a_run_incomplete(asker: Asker) -> None:
    asker.door.answers(openai_stream(["Hel"], finish="length", usage=USAGE))
    thread_id = asker.thread("Hi.")
    run = asker.run(thread_id, asker.assistant(), max_completion_tokens=3)
    assert run["status"] == "incomplete"
    assert run["incomplete_details"] == {"reason": "max_completion_tokens"}
    message = asker.get(f"/threads/{thread_id}/messages")["data"][0]
    assert message["incomplete_details"] == {"reason": "max_tokens"}
    assert (run["usage"], run["completed_at"]) == (USAGE, None)
    shown = names(asker.again(run))
    assert shown[-4:] == [
        "thread.message.incomplete",
        "thread.run.step.completed",
        "thread.run.incomplete",
        "done",
    ]
