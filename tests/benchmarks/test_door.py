"""``/api/benchmarks``: run, watched, cancelled, looked back at, on a real server."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.activity.asking import A, B, settings, told_door
from tests.http.doors import Door
from tests.http.wire import Answer, ask, connect, eventually, opened, request_bytes
from tests.servers.nova import nova_server
from tests.servers.scripted import scripted_server
from tests.servers.speaker import speaking

RUN = "/api/benchmarks/run"
FIELDS = {"id", "timestamp", "status", "mode", "prompt", "parameters", "system_info", "summary",
          "results"}  # fmt: skip
RESULT = {"model", "success", "error", "timestamp", "timing", "throughput", "tokens",
          "system_impact", "checks", "response"}  # fmt: skip
ASYNC = {**A, "prefer": "respond-async"}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with told_door(tmp_path_factory.mktemp("benchmarks")) as opened_door:
        yield opened_door


def run(door: Door, prompt: str, headers: dict[str, str] = A, **more: Any) -> Answer:
    body = {"prompt": prompt, "models": ["speaker"], "warm_up": 0, **more}
    return ask(door.port, "POST", RUN, body, headers)


def made(door: Door, prompt: str, headers: dict[str, str] = A, **more: Any) -> dict[str, Any]:
    answer = run(door, prompt, headers, **more)
    assert answer.status in {200, 202}, answer.text
    found: dict[str, Any] = answer.json
    return found


def read(door: Door, benchmark_id: str, headers: dict[str, str] = A) -> dict[str, Any]:
    answer = ask(door.port, "GET", f"/api/benchmarks/history/{benchmark_id}", headers=headers)
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def ended(door: Door, benchmark_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = read(door, benchmark_id)
        return found if found["status"] not in {"queued", "running"} else None

    return eventually(look, 60)


def test_the_answer_is_the_finished_benchmark(door: Door) -> None:
    found = made(
        door,
        "say two and two are four",
        repetitions=3,
        checks=[{"kind": "contains", "value": "four"}, {"kind": "equals", "value": "five"}],
    )
    assert set(found) >= FIELDS
    assert (found["status"], found["mode"]) == ("completed", "parallel")
    [result] = found["results"]
    assert set(result) >= RESULT
    assert (result["model"], result["success"], result["error"]) == ("speaker", True, None)
    assert result["response"].strip() == "two and two are four"
    assert (result["requests"], result["failed"]) == (3, 0)
    timing = result["timing"]
    assert (
        0 < timing["time_to_first_chunk"] <= timing["time_to_first_token"] <= timing["total_time"]
    )
    assert [(one["passed"], one["failed"]) for one in result["checks"]] == [(3, 0), (0, 3)]
    assert found["system_info"]["cpu"]["total_cores"] == os.cpu_count()
    assert read(door, found["id"]) == found
    log = [line for line in door.server.log if line.get("benchmark_id") == found["id"]]
    assert [line["event"] for line in log][:2] == ["a benchmark begins", "a benchmark has ended"]
    assert log[1]["status"] == "completed"
    # What was asked is nobody's business who reads the log.
    assert "two and two" not in str(log)


def test_two_models_of_which_one_fails_are_partial(door: Door) -> None:
    found = made(door, "say well", models=["speaker", "missing"])
    assert found["status"] == "partial"
    good, bad = found["results"]
    assert (good["success"], bad["success"]) == (True, False)
    assert bad["error"]["code"] == "model_not_found"
    assert bad["error"]["message"]


@pytest.mark.parametrize("mode", ["parallel", "sequential"])
def test_figures_of_a_mode_are_given_for_that_mode_alone(door: Door, mode: str) -> None:
    summary = made(door, "slowly 3 0.05", mode=mode)["summary"]
    assert summary["total_model_time"] > 0
    assert summary["average_model_time"] > 0
    assert (summary["parallel_speedup"] is not None) == (mode == "parallel")
    assert (summary["efficiency_ratio"] is not None) == (mode == "parallel")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"prompt": "say x", "models": ["missing"]}, 400, "speaker"),
        ({}, 422, "prompt or plan"),
        ({"prompt": "   "}, 422, "white space"),
        ({"prompt": "x", "mode": "both"}, 422, "mode"),
        ({"prompt": "x", "parameters": {"heat": 1}}, 422, "heat"),
        ({"prompt": "x", "plan": {"workload": {"kind": "prompt", "prompt": "x"}}}, 422, "plan"),
        ({"prompt": "x", "checks": [{"kind": "regex", "value": "("}]}, 422, "regex"),
        ({"prompt": "x", "phases": ["cold"], "load": {"kind": "concurrent", "concurrency": 2,
          "requests": 4}}, 422, "cold"),
        ({"prompt": "x" * 400_001}, 422, "400,001"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_with_a_reason(
    door: Door, body: dict[str, Any], status: int, said: str
) -> None:
    answer = ask(door.port, "POST", RUN, body, A)
    assert answer.status == status, answer.text
    assert set(answer.json) == {"detail", "code", "hint"}
    assert said in answer.json["detail"] + answer.json["hint"]


def test_what_every_model_failed_with_is_the_answers_status(door: Door) -> None:
    answer = run(door, "fail")
    assert answer.status == 502, answer.text
    assert "told to fail" in answer.json["detail"]
    # It is kept all the same.
    kept = read(door, answer.json["hint"].split()[-1].rstrip("."))
    assert kept["status"] == "failed"
    assert kept["results"][0]["failed"] == 1


def test_a_stalled_model_is_a_504(door: Door) -> None:
    answer = run(door, "stall", limits={"between_tokens_s": 0.3})
    assert answer.status == 504, answer.text


def test_asked_to_it_answers_at_once_and_goes_on(door: Door) -> None:
    answer = run(door, "slowly 5 0.05", ASYNC)
    assert answer.status == 202
    where = answer.headers["location"]
    assert where == f"/api/benchmarks/history/{answer.json['id']}"
    assert answer.json["status"] == "queued"
    assert ended(door, answer.json["id"])["status"] == "completed"


def events(door: Door, benchmark_id: str, after: int = 0) -> list[Any]:
    headers = {**A, **({"last-event-id": str(after)} if after else {})}
    with opened(door.port, f"/api/benchmarks/{benchmark_id}/events", None, headers) as stream:
        assert stream.status == 200
        return list(stream)


def test_events_are_unnamed_have_ids_and_are_resumed(door: Door) -> None:
    begun = made(door, "slowly 6 0.1", ASYNC)
    seen = events(door, begun["id"])
    assert all(event.name == "" for event in seen)
    assert [event.id for event in seen] == list(range(1, len(seen) + 1))
    bodies = [event.json for event in seen]
    assert all(body["benchmark_id"] == begun["id"] and "model" in body for body in bodies)
    types = [body["type"] for body in bodies]
    assert types[:3] == ["status", "status", "started"]
    assert types[-2:] == ["loaded", "status"]
    assert bodies[-1]["status"] == "completed"
    text = "".join(body["text"] for body in bodies if body["type"] == "token")
    assert text == "w0 w1 w2 w3 w4 w5 "
    [sample] = [body for body in bodies if body["type"] == "sample"]
    assert 0 < sample["ttft_s"] < sample["e2e_s"]
    tokens = [body for body in bodies if body["type"] == "token"]
    assert tokens[0]["ttft_s"] == pytest.approx(sample["ttft_s"], abs=0.05)
    assert tokens[-1]["chunks"] == 6
    assert {"starting", "first_token", "generating", "done"} <= {
        body["status"] for body in bodies if body["type"] == "model"
    }
    gone = [body for body in bodies if body["type"] == "progress"]
    assert (gone[-1]["done"], gone[-1]["total"], gone[-1]["failed"]) == (1, 1, 0)
    again = events(door, begun["id"], after=4)
    assert [event.data for event in again] == [event.data for event in seen[4:]]


def test_what_the_machine_does_is_seen_on_the_tokens_axis_by_who_comes_late_too(
    door: Door,
) -> None:
    begun = made(door, "slowly 20 0.1")
    bodies = [event.json for event in events(door, begun["id"])]
    seen = [body for body in bodies if body["type"] == "machine"]
    assert len(seen) >= 3
    assert "gpu" in seen[0]["absent"] or seen[0]["gpus"]
    for body in seen:
        assert len(body["cpu_percent"]) == os.cpu_count()
        assert body["memory_bytes"] > 0
        assert "local" in body["servers"] or body["servers"]
    tokens = [body["elapsed_s"] for body in bodies if body["type"] == "token"]
    within = [body for body in seen if tokens[0] <= body["elapsed_s"] <= tokens[-1]]
    assert within
    # All times but those of the run's own changes are on one axis, and about in order.
    axis = [body["elapsed_s"] for body in bodies if body["type"] not in {"status", "sample"}]
    assert all(later > before - 0.6 for before, later in pairwise(axis))


def test_nothing_comes_after_the_last_event(door: Door) -> None:
    begun = made(door, "say so")
    last = events(door, begun["id"])[-1].id
    path = f"/api/benchmarks/{begun['id']}/events"
    answer = ask(door.port, "GET", path, headers={**A, "last-event-id": str(last)})
    assert answer.status == 204


def test_the_stream_of_all_begins_with_a_snapshot_and_shows_what_begins_later(door: Door) -> None:
    before = made(door, "say before")
    with opened(door.port, "/api/benchmarks/stream", None, A) as stream:
        bodies = (event.json for event in stream)
        first = next(bodies)
        assert first["type"] == "snapshot"
        assert before["id"] in [one["id"] for one in first["benchmarks"]]
        begun = made(door, "slowly 3 0.05", ASYNC)
        for body in bodies:
            mine = body["benchmark_id"] == begun["id"]
            if mine and body["type"] == "status" and body["status"] == "completed":
                break
    assert ended(door, begun["id"])["status"] == "completed"


def test_a_cancelled_one_keeps_what_had_arrived(door: Door) -> None:
    begun = made(door, "slowly 4 0.05", ASYNC, repetitions=1000)
    eventually(lambda: read(door, begun["id"])["results"] and
               read(door, begun["id"])["results"][0]["requests"] >= 2, 60)  # fmt: skip
    path = f"/api/benchmarks/{begun['id']}/cancel"
    assert ask(door.port, "POST", path, headers=A).status == 200
    found = ended(door, begun["id"])
    assert found["status"] == "cancelled"
    assert found["results"][0]["requests"] >= 2
    [result] = found["results"]
    assert result["error"]["code"] == "cancelled"
    assert result["metrics"]["e2e_s"]["n"] >= 2
    again = ask(door.port, "POST", path, headers=A)
    assert again.status == 400, "it has ended"


def test_a_client_that_leaves_stops_it(door: Door) -> None:
    body = {"prompt": "slowly 40 0.05", "models": ["speaker"], "repetitions": 1000}
    with connect(door.port) as connection:
        connection.sendall(
            request_bytes(RUN, body, more=f"authorization: {A['authorization']}\r\n")
        )

        def going() -> dict[str, Any] | None:
            rows = ask(door.port, "GET", "/api/benchmarks/history?status=running", headers=A).json
            return rows[0] if rows else None

        found = eventually(going, 60)
    assert ended(door, found["id"])["status"] == "cancelled"


def test_pages_of_history_and_their_links(door: Door) -> None:
    ids = [made(door, f"say page {number} peculiar")["id"] for number in range(3)]
    path: str | None = "/api/benchmarks/history?text=peculiar&limit=2"
    seen: list[str] = []
    while path:
        answer = ask(door.port, "GET", path, headers=A)
        assert answer.headers["x-total-count"] == "3"
        seen += [one["id"] for one in answer.json]
        link = answer.headers.get("link", "")
        path = link[1:].partition(">")[0] if link else None
        if len(seen) >= 3:
            break
    assert seen == ids[::-1]
    gone = ask(door.port, "DELETE", f"/api/benchmarks/history/{ids[0]}", headers=A)
    assert gone.status == 204
    # A page that was read a moment ago is not given again.
    answer = ask(door.port, "GET", "/api/benchmarks/history?text=peculiar&limit=2", headers=A)
    assert answer.headers["x-total-count"] == "2"


@pytest.mark.parametrize(
    ("benchmark_id", "status"), [("bench_0123456789abcdef01234567", 404), ("a%20b!", 422)]
)
def test_an_id_that_cannot_be_is_told_apart_from_one_that_is_not_there(
    door: Door, benchmark_id: str, status: int
) -> None:
    answer = ask(door.port, "GET", f"/api/benchmarks/history/{benchmark_id}", headers=A)
    assert answer.status == status, answer.text


def test_another_owners_are_not_there(door: Door) -> None:
    mine = made(door, "say mine")["id"]
    for method, path in (
        ("GET", f"/api/benchmarks/history/{mine}"),
        ("DELETE", f"/api/benchmarks/history/{mine}"),
        ("POST", f"/api/benchmarks/{mine}/cancel"),
        ("GET", f"/api/benchmarks/{mine}/events"),
        ("GET", f"/api/benchmarks/{mine}/export"),
    ):
        assert ask(door.port, method, path, headers=B).status == 404, (method, path)
    assert ask(door.port, "GET", "/api/benchmarks/history", headers=B).json == []


def test_summary_over_history(door: Door) -> None:
    made(door, "say one")
    found = ask(door.port, "GET", "/api/benchmarks/summary", headers=A).json
    [model] = [one for one in found["models"] if one["model"] == "speaker"]
    spread = model["total_s"]
    assert spread["min"] <= spread["median"] <= spread["max"]
    assert spread["n"] == model["succeeded"] <= model["benchmarks"]


def valid(door: Door, prompt: str) -> str:
    """The id of a benchmark whose client kept up: on a busy machine it may take more than one."""
    for _ in range(6):
        found = made(door, prompt, repetitions=12)
        if found["summary"]["valid"]:
            break
    return str(found["id"])


def test_compared(door: Door) -> None:
    ids = [valid(door, f"slowly 3 {pause}") for pause in (0.02, 0.02, 0.2)]
    path = f"/api/benchmarks/compare?ids={','.join(ids)}&fail_on=e2e_s%3E10%25"
    found = ask(door.port, "GET", path, headers=A).json
    assert found["benchmarks"] == ids
    [model] = found["models"]
    [e2e] = [one for one in model["metrics"] if one["metric"] == "e2e_s"]
    assert e2e["differences"][1]["verdict"] == "slower", (e2e, found["invalid"])
    assert found["gate"]["passed"] is False
    # The prompts are not the same, and that is told first.
    assert found["conditions"]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("ids={0}", 400, "two or more"),
        ("ids={0},{0}", 400, "two or more"),
        ("ids={0},bench_none", 404, "bench_none"),
        ("ids={0},{1}&fail_on=speed", 400, "no rule"),
        ("ids={0},{1}&fail_on=heat%3E1%25", 400, "no metric"),
    ],
)
def test_what_cannot_be_compared(door: Door, query: str, status: int, said: str) -> None:
    ids = [made(door, "say so")["id"] for _ in range(2)]
    answer = ask(door.port, "GET", f"/api/benchmarks/compare?{query.format(*ids)}", headers=A)
    assert answer.status == status, answer.text
    assert said in answer.json["detail"]


@pytest.mark.parametrize("format_", ["json", "csv", "samples", "markdown", "html", "text"])
def test_exports(door: Door, format_: str) -> None:
    begun = made(door, "say <script>alert(1)</script>")
    path = f"/api/benchmarks/{begun['id']}/export?format={format_}"
    answer = ask(door.port, "GET", path, headers=A)
    assert answer.status == 200, answer.text
    assert begun["id"] in answer.headers["content-disposition"]
    assert answer.body
    if format_ == "html":
        assert "<script>alert(1)" not in answer.text
    unknown = ask(door.port, "GET", f"/api/benchmarks/{begun['id']}/export?format=x", headers=A)
    assert unknown.status == 400


def test_a_killed_server_carries_it_on_and_loses_no_sample(tmp_path: Path) -> None:
    with ExitStack() as stack:
        upstream = stack.enter_context(scripted_server())
        speaking(upstream)
        environment = settings(upstream.url)
        with nova_server(tmp_path, environment) as first:
            door = Door(first, upstream)
            begun = made(door, "slowly 4 0.05", ASYNC, repetitions=40)

            def some() -> int | None:
                results = read(door, begun["id"])["results"]
                return results[0]["requests"] if results and results[0]["requests"] >= 5 else None

            arrived = eventually(some, 60)
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait(30)
        # The load's own process ends by itself, and what it gave up is made again.
        time.sleep(0.5)
        with nova_server(tmp_path, environment) as second:
            door = Door(second, upstream)
            assert read(door, begun["id"])["results"][0]["requests"] >= arrived
            found = ended(door, begun["id"])
            assert found["status"] == "completed", found["error"]
            assert found["results"][0]["requests"] == 40
            samples = ask(
                door.port, "GET", f"/api/benchmarks/{begun['id']}/export?format=samples", headers=A
            ).text
            assert len(samples.strip().splitlines()) >= 41
