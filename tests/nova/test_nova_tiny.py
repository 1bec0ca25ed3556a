"""The team on the model that comes with the package: real plans, real steps, real answers."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.http.wire import ask, eventually, opened
from tests.nova.asking import ASK, asked, entry, screen
from tests.servers.nova import NovaServer, nova_server
from tools.tiny_model.holdout import is_pair_held_out

QUESTION = "Add 3 and 4, then name the capital of Japan."


def test_a_question_is_answered_through_curl(nova: NovaServer) -> None:
    body = json.dumps({"prompt": QUESTION})
    done = subprocess.run(
        ["curl", "-sS", f"{nova.url}{ASK}", "-H", "content-type: application/json", "-d", body],
        capture_output=True,
        check=True,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    assert "7" in answer["text"]
    assert "Tokyo" in answer["text"]
    assert (answer["mode"], answer["status"]) == ("team", "completed")
    assert entry(answer, "r1.plan")["data"] == {
        "steps": ["Add 3 and 4", "Name the capital of Japan"]
    }
    assert entry(answer, "r1.s1")["text"] == "3 + 4 = 7."
    assert entry(answer, "r1.s2")["text"] == "The capital of Japan is Tokyo."
    assert entry(answer, "r1.critic")["data"]["ok"] is True
    assert answer["metrics"]["measured"] == "engine"
    assert answer["metrics"]["memory_mb"] > 10


def test_the_same_is_seen_as_it_happens(nova: NovaServer) -> None:
    with opened(nova.port, ASK, {"prompt": QUESTION, "stream": True}) as stream:
        events = stream.rest()
    answer = events[-1].json
    assert list(screen(events)[0].values()) == answer["chain_of_thought"]
    assert sum(event.name == "token" for event in events) > 20


def test_questions_that_no_training_text_held_get_plans_of_their_own(nova: NovaServer) -> None:
    """Pairs of numbers that training never drew, and together with other clauses."""
    plans = []
    for a, b, country, city in ((47, 18, "Norway", "Oslo"), (23, 38, "Peru", "Lima")):
        pair = next((a + n, b + n) for n in range(50) if is_pair_held_out(a + n, b + n))
        prompt = f"What is {pair[0]} + {pair[1]} and what is the capital of {country}?"
        answer = asked(nova.port, prompt, mode="team")
        plans.append(entry(answer, "r1.plan")["data"]["steps"])
        assert plans[-1] == [f"Add {pair[0]} and {pair[1]}", f"Name the capital of {country}"]
        assert str(sum(pair)) in entry(answer, "r1.s1")["text"]
        assert str(sum(pair)) in answer["text"]
        assert city in answer["text"]
    assert plans[0] != plans[1]


def test_a_second_ask_knows_the_first(nova: NovaServer) -> None:
    ask(nova.port, "DELETE", "/api/nova/memory")
    first = asked(nova.port, "My name is Oskar.")
    assert first["mode"] == "single"
    second = asked(nova.port, "What is my name?", session_id=first["session_id"])
    assert "Oskar" in second["text"]


def test_a_calculation_is_a_tool_s(nova: NovaServer) -> None:
    answer = asked(nova.port, "Calculate 1234 * 56, then name the capital of Peru.", mode="team")
    step = next(one for one in answer["chain_of_thought"] if one["tools"])
    (called,) = step["tools"]
    assert (called["name"], called["output"]) == ("calculator", "69104")
    assert "69104" in answer["text"]
    assert "Lima" in answer["text"]


def test_the_log_tells_of_each_ask_without_its_words(tmp_path: Path) -> None:
    secret = "What is the capital of Peru?"
    with nova_server(tmp_path) as server:
        answer = asked(server.port, secret)
        ask(server.port, "POST", ASK, {"prompt": secret, "model": "nobody"})
        line = server.logged("ask")
        # The answer is there a moment before its line.
        requests = eventually(lambda: _asks(server) if len(_asks(server)) == 2 else None)
        log = server.log_path.read_text()
    assert line["session_id"] == answer["session_id"]
    assert line["run_id"] == answer["run_id"]
    assert line["prompt_chars"] == len(secret)
    assert line["status"] == "completed"
    for name in ("prompt_tokens", "completion_tokens", "total_s", "cpu_percent", "memory_mb"):
        assert line[name] == answer["metrics"][name]
    assert "prompt" not in line
    assert "Peru" not in log
    assert [one["prompt_chars"] for one in requests] == [len(secret)] * 2
    assert requests[-1]["error_code"] == "model_not_found"


def _asks(server: NovaServer) -> list[dict[str, Any]]:
    return [one for one in server.log if one["event"] == "request" and one["path"] == ASK]


def test_the_log_has_the_words_where_they_are_asked_for(tmp_path: Path) -> None:
    with nova_server(tmp_path, {"NOVA_LOG_PROMPTS": "1"}) as server:
        asked(server.port, "What is the capital of Peru?")
        assert server.logged("ask")["prompt"] == "What is the capital of Peru?"
