"""Executors call tools: what they are offered, what comes of a call, and what a failure does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.doors import Door, open_door
from tests.http.wire import ask, opened
from tests.nova.acting import Call, Company, Line, Play, engine, plan
from tests.nova.asking import ASK, asked, entry
from tests.nova.packaged import packaged
from tests.servers.answers import json_answer
from tests.servers.nova import nova_server
from tests.servers.scripted import ScriptedServer

QUESTION = "How long is it?"


@pytest.fixture(scope="module")
def toolbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server with tools of a package, and agents of the settings."""
    folder = tmp_path_factory.mktemp("toolbox")
    config = folder / "config"
    config.mkdir()
    (config / "nova.toml").write_text(AGENTS)
    with open_door(folder, packaged(folder, folder / "called")) as door:
        yield door


AGENTS = """
[agents.executor]
tools = ["length", "calculator"]

[agents.translator]
purpose = "Translates"
instructions = "You are the translator."
model = "org/named"
words = ["translate"]
tools = []
temperature = 0.5

[agents.critic]
max_tokens = 77
"""


@pytest.fixture
def company(toolbox: Door) -> Company:
    acting = Company(toolbox.upstream, roles={"You are the translator": "translator"})
    acting.plays()
    return acting


def calling(*calls: Call) -> Play:
    """An executor that calls, and says that it was told."""
    return [calls, "<told>"]


def results(company: Company) -> list[str]:
    """What the executor was told of its calls, the last time."""
    messages = company.asked("executor")[-1].messages
    return [m["content"] for m in messages if m["role"] == "tool"]


def test_a_tool_s_result_is_told_to_the_model_and_shown(toolbox: Door, company: Company) -> None:
    called = [Call("length", {"what": "lamp"}), Call("calculator", {"expression": "6 * 7"})]
    company.plays(planner=plan("Find A"), executor=calling(*called))
    body = {"prompt": QUESTION, "mode": "team", "stream": True}
    with opened(toolbox.port, ASK, body) as stream:
        events = stream.rest()
    step = entry(events[-1].json, "r1.s1")
    assert step["text"] == "<told>"
    assert [(t["name"], t["arguments"], t["output"]) for t in step["tools"]] == [
        ("length", {"what": "lamp"}, 4),
        ("calculator", {"expression": "6 * 7"}, "42"),
    ]
    assert all(tool["seconds"] >= 0 for tool in step["tools"])
    assert results(company) == ["4", "42"]
    shown = [event.json for event in events if event.name == "tool"]
    assert [(one["step_id"], one["name"]) for one in shown] == [
        ("r1.s1", "length"),
        ("r1.s1", "calculator"),
    ]
    steps = ask(toolbox.port, "GET", f"/api/runs/{events[-1].json['run_id']}/steps").json["data"]
    assert [(one["type"], one["status"]) for one in steps] == [("call", "completed")] * 2
    assert steps[0]["details"]["output"] == 4


def test_another_result_leads_to_another_answer(toolbox: Door, company: Company) -> None:
    """The same words of every agent; only what the tool gives is another."""

    def told(work: str) -> Line:
        said = results(company)
        return f"It is {said[0]}." if said else Call("length", {"what": "lamp"})

    answers = []
    for more in ("0", "30"):
        (toolbox.server.log_path.parent / "more").write_text(more)
        company.plays(planner=plan("Find A"), executor=told)
        answers.append(asked(toolbox.port, QUESTION, mode="team")["text"])
    (toolbox.server.log_path.parent / "more").unlink()
    assert answers == ["All: 1. Find A: It is 4.", "All: 1. Find A: It is 34."]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (Call("length", {"which": "lamp"}), "'what' is a required property"),
        (Call("nothing", {}), "there is no such tool"),
        (Call("calculator", {"expression": "1 / 0"}), "division by zero"),
    ],
)
def test_a_call_that_fails_is_told_and_the_step_goes_on(
    toolbox: Door, company: Company, call: Call, said: str
) -> None:
    company.plays(planner=plan("Find A"), executor=calling(call))
    answer = asked(toolbox.port, QUESTION, mode="team")
    step = entry(answer, "r1.s1")
    assert (step["status"], step["text"]) == ("completed", "<told>")
    assert step["tools"][0]["error"]["code"] == "tool_failed"
    assert said in step["tools"][0]["error"]["message"]
    assert said in results(company)[0]


def test_who_calls_for_ever_has_to_answer(toolbox: Door, company: Company) -> None:
    company.plays(
        planner=plan("Find A"),
        executor=[*[Call("length", {"what": "x" * n}) for n in range(6)], "<at last>"],
    )
    step = entry(asked(toolbox.port, QUESTION, mode="team"), "r1.s1")
    assert len(step["tools"]) == 6
    assert step["text"] == "<at last>"
    assert "tools" not in company.asked("executor")[-1].seen.json


def test_an_agent_is_offered_what_it_may_use(toolbox: Door, company: Company) -> None:
    company.plays(planner=plan("Find the length", "Translate A"), translator="<T>")
    answer = asked(toolbox.port, QUESTION, mode="team")
    assert sorted(entry(answer, "r1.s1")["offered"]) == ["calculator", "length"]
    (one,) = company.asked("executor")
    # What shares words with the step comes first.
    assert [tool["function"]["name"] for tool in one.seen.json["tools"]] == [
        "length",
        "calculator",
    ]
    (other,) = company.asked("translator")
    assert "tools" not in other.seen.json
    assert "tools" not in company.asked("planner")[0].seen.json


def test_agents_of_the_settings_take_part(toolbox: Door, company: Company) -> None:
    company.plays(
        planner=plan("Find A", "translator: say it in French", "Please translate the result"),
        translator="<T>",
    )
    answer = asked(toolbox.port, QUESTION, mode="team")
    assert [entry(answer, f"r1.s{n}")["agent"] for n in (1, 2, 3)] == [
        "executor",
        "translator",
        "translator",
    ]
    assert entry(answer, "r1.s2")["title"] == "say it in French"
    # A model and a temperature of its own.
    assert entry(answer, "r1.s2")["model"] == "org/named"
    first = company.asked("translator")[0].seen.json
    assert (first["model"], first["temperature"]) == ("org/named", 0.5)
    # The planner knows whom it may name.
    assert "- translator: Translates" in company.asked("planner")[0].work
    assert company.asked("critic")[0].seen.json["max_tokens"] == 77
    listed = ask(toolbox.port, "GET", "/api/nova/agents").json["data"]
    names = {one["name"]: one for one in listed}
    assert list(names) == ["planner", "executor", "critic", "closer", "single", "translator"]
    assert names["translator"]["executes"] is True
    assert names["planner"]["executes"] is False
    assert names["planner"]["schema"]["required"] == ["steps"]


def test_tools_are_listed(toolbox: Door) -> None:
    listed = {one["name"]: one for one in ask(toolbox.port, "GET", "/api/nova/tools").json["data"]}
    assert listed["length"]["source"] == "package somebodys-tools"
    assert listed["length"]["repeatable"] is True
    assert listed["record"]["repeatable"] is False
    assert listed["calculator"]["source"] == "built in"
    assert json.dumps(listed["calculator"]["parameters"])


def test_who_only_fails_has_to_answer(toolbox: Door, company: Company) -> None:
    wrong = [Call("calculator", {"expression": text}) for text in ("a", "b", "c")]
    company.plays(planner=plan("Find A"), executor=[*wrong, "<at last>"])
    step = entry(asked(toolbox.port, QUESTION, mode="team"), "r1.s1")
    assert (len(step["tools"]), step["text"]) == (3, "<at last>")
    offered = ["tools" in one.seen.json for one in company.asked("executor")]
    assert offered == [True, True, True, False]


def test_arguments_that_are_no_json_are_told_and_not_sent_back(
    toolbox: Door, company: Company
) -> None:
    company.plays(planner=plan("Find A"), executor=[Call("length", "{"), "<told>"])
    step = entry(asked(toolbox.port, QUESTION, mode="team"), "r1.s1")
    assert step["tools"][0]["error"]["code"] == "tool_failed"
    assert "no JSON" in step["tools"][0]["error"]["message"]
    (called,) = [m for m in company.asked("executor")[-1].messages if m.get("tool_calls")]
    assert called["tool_calls"][0]["function"]["arguments"] == "{}"


def test_a_result_is_cut_to_the_window_of_the_model_that_is_told(
    tmp_path: Path, scripted: ScriptedServer
) -> None:
    """The ask's own model has a small one, the executor's a large one."""
    settings = engine(scripted)
    models = [
        {"id": name, "object": "model", "created": 7, "owned_by": "vllm", "max_model_len": tokens}
        for name, tokens in (("scripted", 300), ("large", 100_000))
    ]
    scripted.on("GET", "/v1/models", json_answer(200, {"object": "list", "data": models}))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "nova.toml").write_text('[agents.executor]\nmodel = "large"\n')
    company = Company(scripted)
    company.plays(
        planner=plan("Find A"), executor=calling(Call("calculator", {"expression": "2 ** 1000"}))
    )
    with nova_server(tmp_path, settings) as server:
        asked(server.port, QUESTION, mode="team")
    assert results(company) == [str(2**1000)]
