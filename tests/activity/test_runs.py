"""``/api/runs``: lists, one run, its steps, its cancellation, and who may see them."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.activity.asking import A, B, assistant_run, chat, run_of, settled
from tests.http.doors import Door
from tests.http.wire import ask

FIELDS = {
    "id", "kind", "status", "thread_id", "assistant_id", "model", "created_at", "started_at",
    "ended_at", "expires_at", "interruptions", "last_event", "error", "details", "usage",
    "metadata",
}  # fmt: skip


def listed(door: Door, query: str = "", headers: dict[str, str] = A) -> dict[str, Any]:
    answer = ask(door.port, "GET", f"/api/runs{query}", headers=headers)
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def test_one_run_is_shown_with_all_that_is_known_of_it(door: Door) -> None:
    run = settled(door.port, chat(door.port, "say Well then", A), A)
    assert set(run) == FIELDS
    assert (run["kind"], run["status"], run["model"]) == ("chat", "completed", "speaker")
    assert run["created_at"] <= run["started_at"] <= run["ended_at"]
    assert run["usage"]["completion_tokens"] == 2
    assert run["details"] == {"left_out_items": 0}
    assert run["error"] is None


def test_a_failed_run_says_why(door: Door) -> None:
    run = settled(door.port, assistant_run(door.port, "fail", A), A)
    assert run["status"] == "failed"
    assert run["error"]["code"]
    assert "told to fail" in run["error"]["message"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_follow_each_other_without_gap_or_repetition(door: Door, order: str) -> None:
    made = [chat(door.port, f"say {number}", A) for number in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        page = listed(door, f"?limit=2&order={order}{after}")
        ids = [run["id"] for run in page["data"]]
        assert (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        seen += ids
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert len(seen) == len(set(seen))
    ours = [run_id for run_id in seen if run_id in made]
    assert ours == (made if order == "asc" else made[::-1])
    before = listed(door, f"?limit=2&order={order}&before={ours[-1]}")
    assert [run["id"] for run in before["data"]] == ours[-3:-1]
    assert before["has_more"]


def test_lists_are_filtered_by_kind_and_status(door: Door) -> None:
    chat(door.port, "say A", A)
    failed = assistant_run(door.port, "fail", A)
    settled(door.port, failed, A)
    assert {run["kind"] for run in listed(door, "?kind=chat")["data"]} == {"chat"}
    found = listed(door, "?status=failed&limit=100")["data"]
    assert failed in {run["id"] for run in found}
    assert {run["status"] for run in found} == {"failed"}
    assert listed(door, "?kind=nothing")["data"] == []


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=101", "?limit=x", "?order=up", "?status=odd"]
)
def test_a_query_that_means_nothing_is_a_422(door: Door, query: str) -> None:
    answer = ask(door.port, "GET", f"/api/runs{query}", headers=A)
    assert answer.status == 422
    assert set(answer.json) == {"detail", "code", "hint"}


def test_steps_are_shown_oldest_first(door: Door) -> None:
    run_id = chat(door.port, "say Well", A)
    settled(door.port, run_id, A)
    page = ask(door.port, "GET", f"/api/runs/{run_id}/steps", headers=A).json
    [step] = page["data"]
    assert (step["type"], step["status"]) == ("message_creation", "completed")
    assert step["details"]["message_id"].startswith("msg_")
    assert step["usage"]["completion_tokens"] == 1
    assert page["has_more"] is False


def test_a_run_is_cancelled_and_one_that_has_ended_is_not(door: Door) -> None:
    run_id = assistant_run(door.port, "stall", A)
    answer = ask(door.port, "POST", f"/api/runs/{run_id}/cancel", headers=A)
    assert answer.status == 200
    assert answer.json["status"] in {"cancelling", "cancelled"}
    assert settled(door.port, run_id, A)["status"] == "cancelled"
    again = ask(door.port, "POST", f"/api/runs/{run_id}/cancel", headers=A)
    assert (again.status, again.json["code"]) == (400, "illegal_transition")


def ways(run_id: str) -> list[Callable[[Door, dict[str, str]], tuple[int, str]]]:
    def way(method: str, path: str) -> Callable[[Door, dict[str, str]], tuple[int, str]]:
        def asked(door: Door, headers: dict[str, str]) -> tuple[int, str]:
            answer = ask(door.port, method, path, headers=headers)
            return answer.status, answer.text

        return asked

    return [
        way("GET", f"/api/runs/{run_id}"),
        way("GET", f"/api/runs/{run_id}/steps"),
        way("GET", f"/api/runs/{run_id}/events"),
        way("POST", f"/api/runs/{run_id}/cancel"),
        way("GET", f"/api/runs?after={run_id}"),
        way("GET", f"/api/runs?before={run_id}"),
    ]


def test_another_key_s_run_is_not_there(door: Door) -> None:
    run_id = assistant_run(door.port, "stall", A)
    absent = run_id[:-1] + ("0" if run_id[-1] != "0" else "1")
    for theirs, nobodys in zip(ways(run_id), ways(absent), strict=True):
        status, text = theirs(door, B)
        assert status == 404
        assert (status, text.replace(run_id, absent)) == nobodys(door, B)
        assert theirs(door, {})[0] == 401
    assert run_id not in {run["id"] for run in listed(door, "?limit=100", B)["data"]}
    assert run_of(door.port, run_id, A)["status"] == "in_progress"
    ask(door.port, "POST", f"/api/runs/{run_id}/cancel", headers=A)
