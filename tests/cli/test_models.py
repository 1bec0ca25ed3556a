"""``nova models`` over engines that answer, and over engines that do not."""

import json
from typing import Any

from tests.cli.command import Command
from tests.servers.answers import json_answer
from tests.servers.scripted import ScriptedServer

LONG = "a-very-long-name/" + "x" * 90
LISTED = {
    "data": [
        {"id": LONG, "owned_by": "vllm"},
        {"id": "big[bold]\x1b[31m", "owned_by": "vllm", "max_model_len": 131072},
        {"id": "scripted", "owned_by": "vllm", "meta": {"n_params": 3_210_000, "size": 4_700_000}},
    ]
}


def _rows(command: Command, *arguments: str) -> list[dict[str, Any]]:
    rows = json.loads(command.run("models", "--json", *arguments).stdout)
    assert isinstance(rows, list)
    return rows


def test_the_table_has_a_line_a_model_and_marks_the_default(
    asking: Command, scripted: ScriptedServer
) -> None:
    scripted.on("GET", "/v1/models", json_answer(200, LISTED))
    head, long, big, small = asking.run("models").stdout.splitlines()
    assert head.split()[:2] == ["NAME", "ENGINE"]
    assert long.split()[:2] == [LONG, "openai"]
    assert big.split() == ["big[bold][31m", "openai", "-", "-", "-", "131,072", "-", "-"]
    assert small.split("  ")[0] == "scripted (default)"
    assert "3.21M" in small
    assert "4.7 MB" in small


def test_json_has_the_documented_fields(asking: Command, scripted: ScriptedServer) -> None:
    scripted.on("GET", "/v1/models", json_answer(200, LISTED))
    named = asking.having(NOVA_ALIASES="gpt-4=scripted, lost=gone")
    _, big, small = _rows(named)
    assert big["name"] == "big[bold]\x1b[31m"
    assert small == {
        "name": "scripted",
        "model": "scripted",
        "engine": "openai",
        "default": True,
        "aliases": ["gpt-4"],
        "parameters": "3.21M",
        "quantization": None,
        "family": None,
        "size_bytes": 4_700_000,
        "context_tokens": None,
        "loaded": None,
        "capabilities": [],
        "digest": None,
    }
    documented = asking.run("models", "--help").stdout
    assert [field for field in small if field not in documented] == []


def test_aliases_are_listed_and_those_that_lead_nowhere_say_so(asking: Command) -> None:
    named = asking.having(NOVA_ALIASES="gpt-4=scripted, lost=gone")
    lines = named.run("models").stdout.splitlines()
    assert lines[-2:] == [
        "gpt-4 is an alias of scripted",
        "lost is an alias of gone, which is not there now",
    ]


def test_an_engine_that_should_answer_and_does_not_is_a_warning(asking: Command) -> None:
    (asking.folder / "more.toml").write_text(
        '[engines.lost]\nkind = "openai"\naddresses = ["http://127.0.0.1:9"]\n'
    )
    done = asking.run("models", "--config", "more.toml")
    assert "scripted (default)" in done.stdout
    assert done.stderr.startswith("Warning: Engine 'lost' does not answer at http://127.0.0.1:9")


def test_a_page_in_place_of_an_answer_stays_on_one_line(
    asking: Command, scripted: ScriptedServer
) -> None:
    page = {"error": {"message": "<html>\n  <p>Not found</p>\n</html>"}}
    scripted.on("GET", "/v1/models", json_answer(404, page))
    warning = asking.run("models").stderr
    assert warning.endswith("<html> <p>Not found</p> </html>\n")
    assert warning.count("\n") == 1


def test_an_ollama_that_was_merely_looked_for_is_not_missed(command: Command) -> None:
    alone = command.having(NOVA_EMBEDDED="off", NOVA_OLLAMA_URL="auto")
    done = alone.run("models")
    assert done.stderr == ""


def test_no_model_at_all_leads_to_the_doctor(command: Command) -> None:
    assert "nova doctor" in command.having(NOVA_EMBEDDED="off").run("models").stdout


def test_the_model_that_comes_along_is_the_default(command: Command) -> None:
    (row,) = _rows(command)
    assert (row["name"], row["engine"], row["default"]) == ("nova-tiny", "embedded", True)
    assert row["loaded"] is False
