"""``nova eval``: the same questions in both modes, and what came of it, said plainly."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command
from tests.nova.acting import Company, Stalls, engine, plan
from tests.servers.scripted import ScriptedServer

LINES: list[dict[str, Any]] = [
    {"id": f"colour-{n}", "kind": "colours", "prompt": f"Colour {n}?", "expect": [f"red{n}"]}
    for n in range(12)
]
LINES.append(
    {"id": "told", "kind": "told", "sessions": [["I am Ada.", "Well?"], ["Who am I?"]],
     "expect": ["Ada"]}
)  # fmt: skip


@pytest.fixture
def company(scripted: ScriptedServer) -> Company:
    acting = Company(scripted)
    acting.plays(planner=plan("Look"), critic='{"ok": true, "reason": "Fine."}')
    return acting


@pytest.fixture
def asking(command: Command, scripted: ScriptedServer, company: Company, tmp_path: Path) -> Command:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return command.having(**engine(scripted))


def knows(work: str) -> str:
    """Whoever is asked for a colour knows it; nobody knows who Ada is."""
    numbers = [word.strip("?.") for word in work.split() if word[0].isdigit()]
    return " ".join(f"The colour is red{number}." for number in numbers) or "No."


def test_what_came_of_it_is_shown_and_written(
    asking: Command, company: Company, tmp_path: Path
) -> None:
    company.plays(planner=plan("Look"), single=knows, closer="The colour is blue.")
    done = asking.run("eval", "--questions", "mine.jsonl", "-o", "result.json")
    rows = [line.split() for line in done.stdout.splitlines() if line]
    assert ["right", "12", "of", "13", "0", "of", "13"] in rows
    assert ["colours", "12", "of", "12", "0", "of", "12"] in rows
    assert "The team did not pay: it was right less often" in done.stdout
    assert "26 of 26" in done.stderr or "answers: single" in done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["complete"] is True
    assert len(result["answers"]) == 26
    assert result["single"]["accuracy"] == pytest.approx(12 / 13)
    low, high = result["single"]["accuracy_interval"]
    assert low < 12 / 13 < high
    assert result["team"]["tokens"]["mean"] > result["single"]["tokens"]["mean"] > 0
    # Neither mode was always first.
    first = [one["mode"] for one in result["answers"][::2]]
    assert {"single", "team"} == set(first)
    # A conversation goes on within a session; nothing of another mode or question is seen.
    told = [one for one in company.asked("single") if one.work.endswith("Well?")]
    assert "I am Ada." in [m["content"] for m in told[0].messages]
    for one in company.asked("single"):
        assert "The colour is" not in json.dumps(one.messages)
    # Nothing of it is kept where the user's own things are.
    assert not (tmp_path / "data" / "nova.db").exists()


def test_json_and_kinds_and_parameters(asking: Command, company: Company) -> None:
    company.plays(planner=plan("Look"), single="No.", executor=knows, closer=knows)
    options = ["--kind", "told", "--temperature", "0", "--seed", "5", "--questions", "mine.jsonl"]
    done = asking.run("eval", "--json", *options)
    result = json.loads(done.stdout)
    assert result["questions"] == 1
    assert result["parameters"] == {"temperature": 0.0, "seed": 5}
    assert {one.seen.json["seed"] for one in company.acted} == {5}
    assert "verdict" in result


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--kind", "none"], "Kinds: arithmetic, capital"),
        (["--questions", "none.jsonl"], "cannot be read"),
        (["-m", "no-such-model", "--questions", "mine.jsonl"], "no-such-model"),
        (["-o", "no/such/folder.json"], "no folder"),
    ],
)
def test_what_is_asked_wrongly_is_said_at_once(
    asking: Command, arguments: list[str], why: str
) -> None:
    done = asking.run("eval", *arguments, code=2)
    assert why in done.stderr
    assert done.stdout == ""


def test_an_ask_that_fails_is_counted_as_wrong_and_told(asking: Command, company: Company) -> None:
    from tests.nova.acting import Fails

    company.plays(planner=plan("Look"), single=Fails(500), closer="red1")
    done = asking.run("eval", "--json", "--kind", "told", "--questions", "mine.jsonl", code=3)
    result = json.loads(done.stdout)
    assert result["single"]["failed"] == 1
    assert result["single"]["right"] == 0
    (failed,) = [one for one in result["answers"] if one["error"]]
    assert failed["mode"] == "single"


def test_ctrl_c_shows_what_was_answered(asking: Command, company: Company, tmp_path: Path) -> None:
    asked = 0

    def once(work: str) -> Any:
        nonlocal asked
        asked += 1
        return Stalls() if asked > 2 else knows(work)

    company.plays(planner=plan("Look"), single=once)
    options = ["eval", "--questions", "mine.jsonl", "-o", "part.json"]
    with asking.terminal(*options) as terminal:
        terminal.shows("4 of 26 answers")
        company.server.wait_for(lambda _: len(company.asked("single")) > 2 or None, 30)
        terminal.type("\x03")
        assert terminal.exit_code() == 130
    assert "It was cancelled" in terminal.plain
    result = json.loads((tmp_path / "part.json").read_text())
    assert result["complete"] is False
    assert result["questions"] == 2
