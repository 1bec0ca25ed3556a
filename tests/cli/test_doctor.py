"""``nova doctor``: what it finds, and what it says about it."""

import json
import socket
from typing import Any

import pytest

from novasystem.benchmarks.stores.encode import encode
from tests.benchmarks.stores.made import made
from tests.cli.command import Command
from tests.servers.answers import json_answer
from tests.servers.scripted import ScriptedServer

Found = dict[str, list[dict[str, Any]]]


def _examine(command: Command, *arguments: str, code: int = 0) -> Found:
    report = json.loads(command.run("doctor", "--json", *arguments, code=code).stdout)
    assert report["ok"] is (code == 0)
    found: Found = {}
    for check in report["checks"]:
        assert set(check) == {"name", "status", "detail", "hint"}
        assert check["status"] in {"ok", "note", "warning", "problem"}
        found.setdefault(check["name"], []).append(check)
    return found


@pytest.fixture
def well(asking: Command) -> Command:
    """Nothing is wrong: one engine answers, the port is any."""
    return asking.having(NOVA_PORT="0")


def test_all_is_well(well: Command) -> None:
    found = _examine(well)
    assert {name: [c["status"] for c in checks] for name, checks in found.items()} == {
        "NovaSystem": ["ok"],
        "Python": ["ok"],
        "machine": ["ok"],
        "settings file": ["note"],
        "data folder": ["ok"],
        "address": ["ok"],
        "port": ["ok"],
        "embedded": ["note"],
        "openai": ["ok"],
        "default model": ["ok"],
    }
    assert found["openai"][0]["detail"].startswith("vllm, 1 model")


def test_the_embedded_engine_is_really_tried(command: Command) -> None:
    shown = command.having(NOVA_PORT="0", NOVA_OLLAMA_URL="auto").run("doctor").stdout
    (line,) = [line for line in shown.splitlines() if " embedded: " in line]
    assert line.startswith("ok ")
    assert "nova-tiny" in line
    assert "answered in" in line
    assert "note     ollama: not found at http://127.0.0.1:11434" in shown
    assert shown.endswith("\nNo problem found.\n")


def test_engines_that_do_not_answer_are_problems(well: Command) -> None:
    (well.folder / "more.toml").write_text(
        """
        ollama_url = "http://127.0.0.1:9"
        aliases = { old = "gone" }
        [engines.lost]
        kind = "openai"
        addresses = ["http://127.0.0.1:9"]
        """
    )
    lost = well.having(NOVA_OLLAMA_URL="http://127.0.0.1:9", NOVA_DEFAULT_MODEL="absent")
    found = _examine(lost, "--config", "more.toml", code=1)
    statuses = {name: found[name][-1]["status"] for name in ("lost", "ollama", "default model")}
    assert set(statuses.values()) == {"problem"}, statuses
    assert found["openai"][0]["status"] == "ok"
    assert found["alias"][0]["status"] == "warning"
    assert "ollama serve" in found["ollama"][0]["hint"]
    assert found["settings file"][1]["detail"] == "more.toml"


def test_an_ollama_that_answers(command: Command, scripted: ScriptedServer) -> None:
    scripted.on("GET", "/api/version", json_answer(200, {"version": "0.24.0"}))
    scripted.on("GET", "/api/ps", json_answer(200, {"models": []}))
    one = {"models": [{"name": "llama3.2:latest", "digest": "1"}]}
    scripted.on("GET", "/api/tags", json_answer(200, one))
    scripted.on("POST", "/api/show", json_answer(200, {"capabilities": ["completion"]}))
    served = command.having(
        NOVA_EMBEDDED="off",
        NOVA_OLLAMA_URL=scripted.url,
        NOVA_DEFAULT_MODEL="llama3.2",
        NOVA_PORT="0",
    )
    (check,) = _examine(served)["ollama"]
    assert check["status"] == "ok"
    assert check["detail"] == f"Ollama 0.24.0 at {scripted.url}, 1 model"
    scripted.on("GET", "/api/tags", json_answer(200, {"models": []}))
    (check,) = _examine(served, code=1)["ollama"]
    assert check["status"] == "warning"
    assert "ollama pull" in check["hint"]


def test_what_works_but_is_perhaps_not_meant_is_a_warning(well: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        found = _examine(well.having(NOVA_PORT=port, NOVA_OLAMA_URL="off"))
    assert found["port"][0]["status"] == "warning"
    assert found["port"][0]["detail"] == f"{port} on 127.0.0.1 is in use"
    assert found["environment"][0]["status"] == "warning"
    assert found["environment"][0]["hint"] == "Did you mean NOVA_OLLAMA_URL?"


def test_benchmarks_that_wait_for_their_store_are_a_warning(well: Command) -> None:
    folder = well.folder / "data" / "benchmarks" / "waiting" / "local"
    folder.mkdir(parents=True)
    (folder / "bench_1.json").write_bytes(encode(made()))
    (folder / "bench_2.json").write_text("{")
    here = well.having(NOVA_DATA_DIR=str(well.folder / "data"))
    [check] = _examine(here)["benchmarks"]
    assert check["status"] == "warning"
    assert check["detail"].startswith("1 benchmark could not be stored")
    # Nobody is there to ask.
    down = here.having(
        NOVA_BENCHMARK_STORE="mongo", NOVA_MONGO_URL="mongodb://u:secret@127.0.0.1:1/nova"
    )
    gone, waits = _examine(down, code=1)["benchmarks"]
    assert (gone["status"], waits["status"]) == ("problem", "warning")
    assert "secret" not in str(gone)


def test_an_engine_without_a_model_is_a_warning_but_the_default_is_missed(
    well: Command, scripted: ScriptedServer
) -> None:
    scripted.on("GET", "/v1/models", json_answer(200, {"data": []}))
    found = _examine(well, code=1)
    assert found["openai"][0]["status"] == "warning"
    assert found["default model"][0]["status"] == "problem"


def test_an_open_address_needs_a_key_which_is_never_shown(well: Command) -> None:
    (check,) = _examine(well.having(NOVA_HOST="0.0.0.0"), code=1)["address"]
    assert "NOVA_API_KEYS" in check["hint"]
    shown = well.having(NOVA_HOST="0.0.0.0", NOVA_API_KEYS="s3cret-key").run("doctor").stdout
    assert "0.0.0.0: 1 API key set" in shown
    assert "s3cret" not in shown


def test_settings_that_cannot_be_read_do_not_stop_it(well: Command) -> None:
    folder = well.folder / "config"
    folder.mkdir()
    (folder / "nova.toml").write_text("port = ")
    found = _examine(well, code=1)
    assert found["settings file"][0]["status"] == "ok"
    assert "not valid TOML" in found["settings"][0]["detail"]


def test_files_and_folders_that_are_none_are_problems(well: Command) -> None:
    (well.folder / "model.gguf").write_text("no")
    (well.folder / "file").write_text("")
    blocked = well.having(
        NOVA_EMBEDDED_MODEL="model.gguf", NOVA_DATA_DIR=str(well.folder / "file" / "data")
    )
    shown = blocked.run("doctor", code=1).stdout
    assert "problem  data folder: " in shown
    assert "Set NOVA_DATA_DIR" in shown
    assert "problem  engines: 'model.gguf' is not a GGUF file." in shown
    assert shown.endswith("\n2 problems found.\n")
