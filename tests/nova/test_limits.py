"""Limits: each of them ends in an honest partial answer that says so."""

import time
from collections.abc import Iterator

import pytest

from tests.http.doors import Door, open_door
from tests.http.wire import ask
from tests.nova.acting import Company, Play, Says, Stalls, plan
from tests.nova.asking import ASK, asked, chain, entry

QUESTION = "What are A and B?"


def test_no_more_steps_than_allowed(door: Door, company: Company) -> None:
    company.plays(planner=plan("Find A", "Find B", "Find C", "Find D"))
    answer = asked(door.port, QUESTION, mode="team", parameters={"max_steps": 2})
    assert len(company.asked("executor")) == 2
    assert answer["limits_reached"] == ["max_steps"]
    assert answer["status"] == "incomplete"
    assert answer["text"].startswith("All: 1. Find A: <Find A>")
    assert "Only 2 steps were allowed: not carried out: Find C; Find D." in answer["text"]


def test_no_more_tokens_than_allowed(door: Door, company: Company) -> None:
    company.plays(executor=Says("one two three four five six seven eight nine ten"))
    answer = asked(door.port, QUESTION, mode="team", parameters={"max_total_tokens": 20})
    assert answer["limits_reached"] == ["max_total_tokens"]
    assert answer["status"] == "incomplete"
    # Nobody is asked any more: what stands in the answer was found before.
    assert not company.asked("critic")
    assert not company.asked("closer")
    assert answer["text"].startswith("What was found:\n- Find A: one two")
    assert "The limit of 20 tokens was reached." in answer["text"]


def test_tokens_that_are_gone_after_the_plan_leave_the_steps_out(
    door: Door, company: Company
) -> None:
    answer = asked(door.port, QUESTION, mode="team", parameters={"max_total_tokens": 1})
    assert not company.asked("executor")
    assert entry(answer, "r1.s1")["status"] == "skipped"
    assert "There is no answer" in answer["text"]
    assert answer["status"] == "incomplete"


@pytest.mark.parametrize(
    ("agent", "left"),
    [
        ("planner", "There is no answer"),
        ("executor", "There is no answer"),
        ("critic", "What was found:\n- Find A: <Find A>"),
        ("closer", "Well"),
    ],
)
def test_time_that_is_up_stops_whoever_speaks(
    door: Door, company: Company, agent: str, left: str
) -> None:
    company.plays(**{agent: Stalls()})
    began = time.monotonic()
    answer = asked(door.port, QUESTION, mode="team", parameters={"timeout_s": 0.6})
    assert time.monotonic() - began < 3
    assert answer["limits_reached"] == ["timeout_s"]
    assert answer["status"] == "incomplete"
    assert answer["text"].startswith(left)
    assert "The limit of 0.6 s was reached." in answer["text"]
    cut = answer["chain_of_thought"][-1]
    assert (cut["agent"], cut["status"], cut["text"]) == (agent, "cancelled", "Well")
    # The engine was told to stop.
    last = company.asked(agent)[-1]
    door.upstream.wait_for(lambda _: last.seen.client_left_at_ns)


def test_an_answer_that_is_cut_off_says_so(door: Door, company: Company) -> None:
    company.plays(closer=Says("Once upon a", finish="length"))
    answer = asked(door.port, QUESTION, mode="team", parameters={"max_tokens": 3})
    assert company.asked("closer")[0].seen.json["max_tokens"] == 3
    assert answer["limits_reached"] == ["max_tokens"]
    assert answer["text"].startswith("Once upon a\n\nThis answer is partial.")


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("planner", "There was no plan: The agent 'planner' gave no valid JSON"),
        ("executor", "Step 1 (Find A) is not whole: It was cut off"),
        ("critic", "The results were not checked: The agent 'critic' gave no valid JSON"),
    ],
)
def test_an_agent_that_is_cut_off_before_the_answer_is_told_of(
    door: Door, company: Company, agent: str, said: str
) -> None:
    lines: dict[str, Play] = {"planner": plan("Find A")}
    company.plays(**{**lines, agent: Says("Once upon a", finish="length")})
    answer = asked(door.port, QUESTION, mode="team", parameters={"max_tokens": 30})
    assert answer["limits_reached"] == ["max_tokens"]
    assert answer["status"] == "incomplete"
    assert answer["text"].startswith("All: 1. ")
    assert said in answer["text"]
    # Without a plan the question is the only step, and what came of it is checked all the same.
    assert company.asked("critic")


def test_each_step_that_is_cut_off_is_named(door: Door, company: Company) -> None:
    company.plays(executor=Says("Once", finish="length"), closer=Says("Well", finish="length"))
    answer = asked(door.port, QUESTION, mode="team")
    assert answer["limits_reached"] == ["max_tokens"]
    for cut in (
        "Step 1 (Find A) is not whole",
        "Step 2 (Find B) is not whole",
        "The answer is cut",
    ):
        assert cut in answer["text"]


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server whose agents have little time."""
    folder = tmp_path_factory.mktemp("hurried")
    (folder / "config").mkdir()
    tables = [f"[agents.{name}]\ntimeout_s = 2\n" for name in ("planner", "executor", "critic")]
    (folder / "config" / "nova.toml").write_text("\n".join(tables))
    with open_door(folder) as opened:
        yield opened


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("planner", "There was no plan: The agent 'planner' was not done"),
        ("executor", "Step 1 (Find A) failed: The agent 'executor' was not done"),
        ("critic", "The results were not checked: The agent 'critic' was not done"),
    ],
)
def test_an_agent_s_own_time_that_is_up_is_told_of(hurried: Door, agent: str, said: str) -> None:
    company = Company(hurried.upstream)
    lines: dict[str, Play] = {"planner": plan("Find A")}
    company.plays(**{**lines, agent: Stalls()})
    answer = asked(hurried.port, QUESTION, mode="team")
    assert answer["limits_reached"] == ["agent_timeout"]
    assert answer["status"] == "incomplete"
    assert answer["text"].startswith("All: 1. ")
    assert said in answer["text"]
    # Nobody knows how many tokens that was.
    broken_off = next(one for one in answer["chain_of_thought"] if one["agent"] == agent)
    assert broken_off["tokens"] is None
    assert answer["metrics"]["completion_tokens"] is None


def test_what_was_broken_off_is_paid_for(hurried: Door) -> None:
    company = Company(hurried.upstream)
    company.plays(planner=plan("Find A"), executor=Stalls("word " * 400))
    answer = asked(hurried.port, QUESTION, mode="team", parameters={"max_total_tokens": 300})
    assert set(answer["limits_reached"]) == {"agent_timeout", "max_total_tokens"}
    assert not company.asked("critic")


def test_what_a_step_has_spent_limits_its_next_answer(door: Door, company: Company) -> None:
    company.plays(planner=["one two three", plan("Find A")])
    asked(door.port, QUESTION, mode="team", parameters={"max_total_tokens": 500})
    first, second = (one.seen.json["max_tokens"] for one in company.asked("planner"))
    # Two messages were read, and three words said.
    assert (first, second) == (500, 495)


def test_what_is_left_of_all_tokens_limits_each_answer(door: Door, company: Company) -> None:
    asked(door.port, QUESTION, mode="team", parameters={"max_total_tokens": 500})
    allowed = [one.seen.json["max_tokens"] for one in company.acted]
    assert allowed[0] == 500
    assert allowed == sorted(allowed, reverse=True)
    assert allowed[-1] < 500


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "  \n"}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "Hi.", "colour": 1}, "colour"),
        ({"prompt": "Hi.", "mode": "many"}, "mode"),
        ({"prompt": "Hi.", "session_id": "7"}, "session_id"),
        ({"prompt": "Hi.", "parameters": {"top_p": 1}}, "parameters.top_p"),
        ({"prompt": "Hi.", "parameters": {"max_rounds": 0}}, "parameters.max_rounds"),
        ({"prompt": "Hi.", "parameters": {"timeout_s": 0}}, "parameters.timeout_s"),
        ({"prompt": "Hi.", "parameters": {"temperature": 3}}, "parameters.temperature"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(door: Door, body: object, param: str) -> None:
    refused = ask(door.port, "POST", ASK, body)
    assert refused.status == 422
    assert f"'{param}'" in refused.json["detail"]


def test_a_model_that_is_not_there_is_refused_before_anything_is_kept(door: Door) -> None:
    before = ask(door.port, "GET", "/api/nova/sessions").json["first_id"]
    refused = ask(door.port, "POST", ASK, {"prompt": "Hi.", "model": "nobody"})
    assert (refused.status, refused.json["code"]) == (404, "model_not_found")
    assert ask(door.port, "GET", "/api/nova/sessions").json["first_id"] == before


def test_the_sampling_is_that_of_the_ask(door: Door, company: Company) -> None:
    sampling = {"temperature": 0.7, "seed": 5}
    answer = asked(door.port, QUESTION, mode="team", parameters=sampling)
    assert chain(answer)[-1] == "close"
    for one in company.acted:
        assert one.seen.json["temperature"] == 0.7
        assert one.seen.json["seed"] == 5
    company.plays()
    asked(door.port, QUESTION, mode="team")
    assert {one.seen.json["temperature"] for one in company.acted} == {0}
