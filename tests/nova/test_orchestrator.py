"""Who speaks when, and what each is told: plans, rounds, failures, malformed output."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.http.doors import Door
from tests.http.wire import ask
from tests.nova.acting import Company, Fails, Line, Says, plan, verdict
from tests.nova.asking import ASK, asked, chain, entry, texts

QUESTION = "What are A and B?"


def test_a_team_plans_executes_checks_and_answers(door: Door, company: Company) -> None:
    answer = asked(door.port, QUESTION, mode="team")
    assert answer["status"] == "completed"
    assert sorted(chain(answer)) == sorted(["r1.plan", "r1.s1", "r1.s2", "r1.critic", "close"])
    assert chain(answer)[0] == "r1.plan"
    assert chain(answer)[-2:] == ["r1.critic", "close"]
    assert answer["text"] == "All: 1. Find A: <Find A>\n2. Find B: <Find B>"
    first = entry(answer, "r1.s1")
    assert first["agent"] == "executor"
    assert first["purpose"] == "Carries out one step of the plan"
    assert (first["model"], first["round"], first["number"]) == ("scripted", 1, 1)
    assert first["tokens"] == first["prompt_tokens"] + first["completion_tokens"] > 0
    assert first["seconds"] > 0
    assert company.asked("critic")[0].work == (
        f"Question: {QUESTION}\nResults:\n1. Find A: <Find A>\n2. Find B: <Find B>"
    )


def test_every_schema_is_sent_to_the_engine_s_grammar(door: Door, company: Company) -> None:
    asked(door.port, QUESTION, mode="team")
    for agent, field in (("planner", "steps"), ("critic", "ok")):
        (one,) = company.asked(agent)
        bound = one.seen.json["response_format"]
        assert bound["type"] == "json_schema"
        assert field in bound["json_schema"]["schema"]["properties"]
    assert "response_format" not in company.asked("executor")[0].seen.json


def test_another_plan_leads_to_another_answer(door: Door, company: Company) -> None:
    before = asked(door.port, QUESTION, mode="team")["text"]
    company.plays(planner=plan("Find C"))
    after = asked(door.port, QUESTION, mode="team")["text"]
    assert before != after
    assert after == "All: 1. Find C: <Find C>"


def test_independent_steps_are_carried_out_at_once(door: Door, company: Company) -> None:
    company.plays(
        planner=plan("Find A", "Find B", "Find C"),
        executor=lambda work: Says("a b c d", pause_s=0.15),
    )
    answer = asked(door.port, QUESTION, mode="team")
    begun = [one.seen.at_ns for one in company.asked("executor")]
    assert max(begun) - min(begun) < 0.4e9
    assert all(entry(answer, f"r1.s{n}")["seconds"] > 0.5 for n in (1, 2, 3))


def test_a_step_waits_for_those_that_it_names(door: Door, company: Company) -> None:
    company.plays(
        planner=plan("Find A", "Find B", "Add the results of steps 1 and 2", "Double the result"),
        executor=lambda work: Says(f"<{work.rpartition('Step: ')[2]}>", pause_s=0.02),
    )
    answer = asked(door.port, QUESTION, mode="team")
    assert entry(answer, "r1.s3")["depends_on"] == [1, 2]
    assert entry(answer, "r1.s4")["depends_on"] == [3]
    third, fourth = (
        next(one for one in company.asked("executor") if one.work.endswith(title))
        for title in ("Add the results of steps 1 and 2", "Double the result")
    )
    assert third.work.startswith(
        "Results so far:\n1. Find A: <Find A>\n2. Find B: <Find B>\n\nStep: "
    )
    assert fourth.work.startswith("Results so far:\n3. Add the results of steps 1 and 2: <Add")
    assert "Results so far" not in company.asked("executor")[0].work


def test_a_long_question_is_shown_to_executors(door: Door, company: Company) -> None:
    company.plays(planner=plan("Sum it up"))
    long = "Sum this up: " + "word " * 50 + "end"
    asked(door.port, long, mode="team")
    assert company.asked("executor")[0].work == f"Question: {long}\nStep: Sum it up"
    asked(door.port, "Sum this up: word.", mode="team")
    assert company.asked("executor")[1].work == "Step: Sum it up"


def test_a_step_that_fails_is_told_and_what_needs_it_is_left_out(
    door: Door, company: Company
) -> None:
    company.plays(
        planner=plan("Find A", "Find B", "Double the result of step 1"),
        executor=lambda work: Fails() if "Find A" in work else "<B>",
    )
    answer = asked(door.port, QUESTION, mode="team")
    assert entry(answer, "r1.s1")["status"] == "failed"
    assert entry(answer, "r1.s1")["error"]["code"] == "engine_rejected"
    assert entry(answer, "r1.s3")["status"] == "skipped"
    assert entry(answer, "r1.s2")["text"] == "<B>"
    assert answer["status"] == "incomplete"
    assert "Step 1 (Find A) failed" in answer["text"]
    assert "1. Find A: could not be done" in company.asked("closer")[0].work


def test_a_step_that_another_round_mends_is_no_failure_any_more(
    door: Door, company: Company
) -> None:
    tries: Iterator[Line] = iter([Fails(), "<A>"])
    company.plays(
        executor=lambda work: next(tries) if "Step: Find A" in work else "<B>",
        critic=[verdict(False, "The step was not done right: Find A"), verdict(True)],
    )
    answer = asked(door.port, QUESTION, mode="team")
    assert entry(answer, "r1.s1")["status"] == "failed"
    assert (answer["status"], answer["text"]) == (
        "completed",
        "All: 1. Find A: <A>\n2. Find B: <B>",
    )


def test_where_every_step_fails_so_does_the_ask(door: Door, company: Company) -> None:
    company.plays(executor=Fails())
    failed = ask(door.port, "POST", ASK, {"prompt": QUESTION, "mode": "team"})
    assert failed.status == 502
    assert failed.json["code"] == "engine_rejected"
    (path,) = re.findall(r"/api/nova/asks/\w+", failed.json["detail"] + failed.json["hint"])
    kept = ask(door.port, "GET", path).json
    assert kept["status"] == "failed"
    assert kept["error"]["code"] == "engine_rejected"
    assert {one["status"] for one in kept["chain_of_thought"][1:]} == {"failed"}


def test_a_critic_that_rejects_gets_the_named_step_done_again(door: Door, company: Company) -> None:
    answers = iter(["<wrong>", "<right>"])
    company.plays(
        planner=plan("Find A", "Find B", "Double the result of step 2"),
        executor=lambda work: next(answers) if "Step: Find B" in work else f"<{work[-9:]}>",
        critic=[verdict(False, "The step was not done right: Find B"), verdict(True)],
    )
    answer = asked(door.port, QUESTION, mode="team")
    assert answer["status"] == "completed"
    # What needs the step is done again too, and the first step is not.
    again = [step for step in chain(answer) if step.startswith("r2.")]
    assert again == ["r2.s2", "r2.s3", "r2.critic"]
    assert entry(answer, "r2.s2")["input"].endswith(
        "It was not done right before: The step was not done right: Find B"
    )
    assert "<right>" in answer["text"]
    assert "<wrong>" not in answer["text"]


def test_a_critic_that_names_no_step_gets_another_plan(door: Door, company: Company) -> None:
    company.plays(
        planner=[plan("Find A"), plan("Find B", "Find A")],
        critic=[verdict(False, "B is missing."), verdict(True)],
    )
    answer = asked(door.port, QUESTION, mode="team")
    assert chain(answer) == [
        "r1.plan", "r1.s1", "r1.critic", "r2.plan", "r2.s2", "r2.critic", "close",
    ]  # fmt: skip
    second = company.asked("planner")[1].work
    assert "Done so far:\n1. Find A: <Find A>" in second
    assert "What is missing: B is missing." in second
    assert answer["text"] == "All: 1. Find A: <Find A>\n2. Find B: <Find B>"


def test_a_critic_that_is_never_satisfied_is_told_of(door: Door, company: Company) -> None:
    company.plays(critic=verdict(False, "The step was not done right: Find A"))
    answer = asked(door.port, QUESTION, mode="team", parameters={"max_rounds": 3})
    assert len(company.asked("critic")) == 3
    assert answer["limits_reached"] == ["max_rounds"]
    assert answer["status"] == "incomplete"
    assert "After 3 rounds the critic was still not satisfied" in answer["text"]


@pytest.mark.parametrize(
    "wrong",
    ["no JSON at all", '{"steps": "Find A"}', '{"steps": []}', '{"steps": ["Find A"], "x": 1}'],
)
def test_malformed_output_is_asked_for_again(door: Door, company: Company, wrong: str) -> None:
    company.plays(planner=[wrong, plan("Find B")])
    answer = asked(door.port, QUESTION, mode="team")
    planned = entry(answer, "r1.plan")
    assert planned["data"] == {"steps": ["Find B"]}
    assert [one["text"] for one in planned["attempts"]] == [wrong]
    assert planned["attempts"][0]["error"]
    assert planned["attempts"][0]["error"] in company.asked("planner")[1].work
    # Both answers were paid for.
    assert planned["completion_tokens"] > len(plan("Find B").split(" "))
    assert answer["text"] == "All: 1. Find B: <Find B>"


def test_output_that_stays_malformed_is_told_and_done_without(door: Door, company: Company) -> None:
    company.plays(planner="nothing", critic="nothing")
    answer = asked(door.port, QUESTION, mode="team")
    assert len(company.asked("planner")) == len(company.asked("critic")) == 3
    planned = entry(answer, "r1.plan")
    assert planned["status"] == "failed"
    assert planned["error"]["code"] == "malformed_output"
    assert len(planned["attempts"]) == 3
    # The question itself is the only step.
    assert entry(answer, "r1.s1")["title"] == QUESTION
    assert answer["status"] == "incomplete"
    assert "The results were not checked" in answer["text"]


def test_a_closing_agent_that_fails_leaves_what_was_found(door: Door, company: Company) -> None:
    company.plays(closer=Fails())
    answer = asked(door.port, QUESTION, mode="team")
    assert answer["status"] == "incomplete"
    assert "- Find A: <Find A>\n- Find B: <Find B>" in answer["text"]
    assert "The closing agent could not write the answer" in answer["text"]


def test_a_step_that_is_planned_twice_is_done_once(door: Door, company: Company) -> None:
    company.plays(planner=plan("Find A", "find a.", "Find B"))
    answer = asked(door.port, QUESTION, mode="team")
    assert len(company.asked("executor")) == 2
    assert set(texts(answer)) == {"r1.plan", "r1.s1", "r1.s2", "r1.critic", "close"}


def test_single_is_one_agent_alone(door: Door, company: Company) -> None:
    answer = asked(door.port, QUESTION, mode="single")
    assert chain(answer) == ["single"]
    assert answer["text"] == f"Alone: {QUESTION}"
    assert list(answer["metrics"]["agents"]) == ["single"]


@pytest.mark.parametrize(
    ("prompt", "mode"),
    [
        ("What is the capital of France?", "single"),
        ("My name is Ada and I like tea.", "single"),
        ("Add 3 and 4, then name the capital of Japan.", "team"),
        ("What is 2 + 2 and what is the capital of Peru?", "team"),
        ("Count to five; greet Ada", "team"),
        ("word " * 61, "team"),
    ],
)
def test_auto_takes_a_team_where_more_than_one_thing_is_asked(
    door: Door, company: Company, prompt: str, mode: str
) -> None:
    assert asked(door.port, prompt)["mode"] == mode


def test_the_metrics_are_those_of_the_agents(door: Door, company: Company) -> None:
    answer = asked(door.port, QUESTION, mode="team")
    metrics = answer["metrics"]
    agents = metrics["agents"]
    assert {name: of["calls"] for name, of in agents.items()} == {
        "planner": 1, "executor": 2, "critic": 1, "closer": 1,
    }  # fmt: skip
    for name in ("prompt_tokens", "completion_tokens"):
        assert metrics[name] == sum(of[name] for of in agents.values())
        assert metrics[name] == sum(one[name] for one in answer["chain_of_thought"])
    assert 0 < metrics["ttft_s"] < metrics["total_s"]
    assert metrics["memory_mb"] > 0
    assert metrics["cpu_percent"] >= 0
    # The scripted engine is a thread of the test's process, which stands for the engine's.
    assert metrics["measured"] == "engine"


def test_a_chain_can_be_left_out(door: Door, company: Company) -> None:
    answer = asked(door.port, QUESTION, mode="team", include_chain=False)
    assert "chain_of_thought" not in answer
    assert answer["text"]
    assert answer["metrics"]["agents"]["executor"]["calls"] == 2
    path = f"/api/nova/asks/{answer['run_id']}?include_chain="
    assert ask(door.port, "GET", f"{path}false").json == answer
    assert len(ask(door.port, "GET", f"{path}true").json["chain_of_thought"]) == 5
    assert ask(door.port, "GET", f"{path}perhaps").status == 422


def test_an_engine_that_does_not_count_leaves_tokens_unknown(door: Door, company: Company) -> None:
    company.plays(single=Says("Five words of an answer.", usage=False))
    answer = asked(door.port, QUESTION, mode="single")
    assert entry(answer, "single")["tokens"] is None
    assert answer["metrics"]["completion_tokens"] is None


def test_json_in_words_is_found(door: Door, company: Company) -> None:
    company.plays(planner="Here it is: " + json.dumps({"steps": ["Find B"]}) + " Good luck!")
    assert entry(asked(door.port, QUESTION, mode="team"), "r1.plan")["data"] == {
        "steps": ["Find B"]
    }
