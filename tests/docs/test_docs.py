"""The documents hold: what they show runs, what they name exists, and nothing is left out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer.main
from _pytest.mark import ParameterSet

from novasystem.cli.main import app
from novasystem.settings import AgentSettings, EngineSettings, McpServer, Settings, load_settings
from tests.servers.nova import NovaServer, isolated_environment

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
# These set up and run everything, this test included.
_MAKE = re.compile(r"make (run|test)\b")


def blocks(language: str) -> list[ParameterSet]:
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}:{number}")
        for page in PAGES
        for number, (tag, text) in enumerate(_FENCE.findall(page.read_text()))
        if tag == language and not _MAKE.match(text)
    ]


def run(command: list[str], text: str, server: NovaServer, folder: Path) -> str:
    text = text.replace("localhost:8000", f"localhost:{server.port}")
    text = text.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    done = subprocess.run(
        [*command, text],
        cwd=folder,
        env=isolated_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("text", blocks("sh"))
def test_every_command_runs(text: str, nova: NovaServer, tmp_path: Path) -> None:
    said = run(["bash", "-euo", "pipefail", "-c"], text, nova, tmp_path)
    assert said.strip(), "a command of the documents shows something"
    assert '"error":{' not in said
    assert "event: error" not in said


@pytest.mark.parametrize("text", blocks("python"))
def test_every_program_runs(text: str, nova: NovaServer, tmp_path: Path) -> None:
    assert run([sys.executable, "-c"], text, nova, tmp_path).strip()


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_configuration_is_valid(text: str, tmp_path: Path) -> None:
    path = tmp_path / "nova.toml"
    path.write_text(text)
    load_settings(config=path, environment={"NOVA_CONFIG_DIR": str(tmp_path / "none")})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_setting_is_described() -> None:
    text = (ROOT / "docs/reference/settings.md").read_text()
    named = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    models = (Settings, EngineSettings, McpServer, AgentSettings)
    settings = {name for model in models for name in model.model_fields} - {"unknown_variables"}
    assert named == settings


def test_the_defaults_are_as_described() -> None:
    text = (ROOT / "docs/reference/settings.md").read_text()
    defaults = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", text, re.MULTILINE))
    fields = {
        name: field
        for model in (McpServer, EngineSettings, Settings)
        for name, field in model.model_fields.items()
    }
    assert len(defaults) > 20
    for name, shown in defaults.items():
        assert str(fields[name].default) == shown, name


def test_every_command_and_option_is_described() -> None:
    text = (ROOT / "docs/reference/command-line.md").read_text()
    nova = typer.main.get_command(app)
    assert isinstance(nova, click.Group) or hasattr(nova, "commands")
    commands = dict(nova.commands)
    assert set(re.findall(r"^## `nova (\w+)`", text, re.MULTILINE)) == set(commands)
    below = [one for group in commands.values() for one in getattr(group, "commands", {}).values()]
    assert {one.name for one in below} <= set(re.findall(r"`nova \w+ (\w+)", text))
    wanted = {
        option
        for command in [nova, *commands.values(), *below]
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    assert {option for option in wanted if f"`{option}" not in text} == set()


def test_the_make_targets_of_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for command in re.findall(r"`make ([a-z ]+)`", page.read_text())
        for target in command.split()
    }
    assert named - targets == set()
    assert os.access(ROOT / ".ci/run", os.X_OK)
