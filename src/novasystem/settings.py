"""Every setting, read once: flags, then ``NOVA_*``, then ``--config``, then the user's nova.toml.

A ``nova.toml`` in the current folder is never read: it can name programs and addresses, and a
folder that was only unpacked must not. Nothing else in the package reads the environment.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from novasystem.engines.requests import TimeLimits
from novasystem.errors import ConfigurationError

__all__ = [
    "AgentSettings",
    "EngineSettings",
    "McpServer",
    "Settings",
    "config_file",
    "load_settings",
]

# Read by the program's surroundings, not by Settings.
_OTHER_VARIABLES = {"NOVA_CONFIG", "NOVA_CONFIG_DIR", "NOVA_CACHE_DIR", "NOVA_OLLAMA_BIN"}


def _split(value: object) -> object:
    """``a, b`` → ``["a", "b"]``: how lists are written in the environment."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _pairs(value: object) -> object:
    """``a=b, c=d`` → ``{"a": "b", "c": "d"}``: how tables are written in the environment."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if any(not key.strip() or not target.strip() for key, _, target in pairs):
            msg = "write it as name=model, name=model"
            raise ValueError(msg)
        return {key.strip(): target.strip() for key, _, target in pairs}
    return value


Texts = Annotated[tuple[str, ...], BeforeValidator(_split)]
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_split)]
Pairs = Annotated[dict[str, str], BeforeValidator(_pairs)]


class EngineSettings(BaseModel):
    """One ``[engines.NAME]`` table."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    kind: str
    addresses: Texts = ()
    """Of a server; several are taken as copies of each other."""
    api_key_env: str | None = None
    """The environment variable that holds the key; the key itself never stands in a file."""
    flavour: str | None = None
    tools: Literal["native", "constrained"] | None = None
    max_concurrent: int = Field(default=256, ge=1)
    max_queued: int = Field(default=1024, ge=0)
    model_file: Path | None = None
    """Of an embedded engine: a GGUF file."""
    model_name: str | None = None
    context_tokens: int = Field(default=4096, ge=256)
    slots: int = Field(default=4, ge=1, le=64)
    threads: int = Field(default=0, ge=0)


class AgentSettings(BaseModel):
    """One ``[agents.NAME]`` table: what it changes of a built-in agent, or a new executor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: str | None = Field(default=None, min_length=1, max_length=200)
    """One line: planners and people read it."""
    instructions: str | None = Field(default=None, min_length=1)
    model: str | None = Field(default=None, min_length=1)
    """Its own model; otherwise the one that the ask is made with."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    """Of each time that it speaks."""
    timeout_s: float | None = Field(default=None, gt=0)
    tools: tuple[str, ...] | None = None
    """Names of the tools that it may call; an executor may call all where none are named."""
    words: tuple[str, ...] | None = None
    """A step of a plan that has one of these words is for this agent."""


class McpServer(BaseModel):
    """One ``[mcp.NAME]`` table: a program that is started, or an address, which has tools."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | None = None
    """A program that speaks MCP over its standard input and output."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    """Variables that it gets beside a small set of this program's own."""
    url: str | None = None
    """Where a server listens that speaks MCP over HTTP."""
    token_env: str | None = None
    """The environment variable that holds the server's bearer token."""
    timeout_s: float = Field(default=30, gt=0)
    """How long connecting, and each call, may take."""

    @model_validator(mode="after")
    def _one_way_to_it(self) -> "McpServer":
        if (self.command is None) == (self.url is None):
            msg = "give either a command or a url"
            raise ValueError(msg)
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            msg = f"'{self.url}' is not an address such as http://127.0.0.1:9000/mcp"
            raise ValueError(msg)
        if self.url is not None and (self.args or self.env):
            msg = "args and env belong to a command"
            raise ValueError(msg)
        if self.command is not None and self.token_env is not None:
            msg = "token_env belongs to a url"
            raise ValueError(msg)
        return self


class Settings(BaseModel):
    """The settings of one program run. The names are those in ``nova.toml``; in the environment
    they are written ``NOVA_`` and upper case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    root_path: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """The prefix under which a proxy shows this server, such as ``/nova``."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that answer; more than one needs PostgreSQL."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("novasystem")))

    database_url: SecretStr | None = None
    """PostgreSQL's address; without it the data is an SQLite file in ``data_dir``."""
    benchmark_store: Literal["sql", "files", "mongo"] = "sql"
    """Where benchmarks are kept: in the database, in a folder, or in MongoDB."""
    mongo_url: SecretStr | None = None
    max_runs: int = Field(default=256, ge=1)
    max_runs_per_engine: int = Field(default=64, ge=1)
    run_expires_s: float = Field(default=600, gt=0)
    """How long an assistant's run may take, its queue and the calls that it waits for included."""
    max_waiting_turns: int = Field(default=8, ge=0)
    """Turns that wait for one busy conversation."""

    api_keys: Secrets = ()
    cors_origins: Texts = ()
    allowed_hosts: Texts = ()
    """Names beyond localhost and the bound address under which the server may be asked."""

    default_model: str = "nova-tiny"
    aliases: Pairs = Field(default_factory=dict)
    engines: dict[str, EngineSettings] = Field(default_factory=dict)

    embedding_model: str | None = None
    """Finds memories by their meaning as well; without one they are found by their words."""
    mcp: dict[str, McpServer] = Field(default_factory=dict)
    agents: dict[str, AgentSettings] = Field(default_factory=dict)
    log_prompts: bool = False
    """Whether the log of asks holds what was asked, and not only how long it is."""

    embedded: Literal["on", "lazy", "off"] = "on"
    """nova-tiny: started with the server, on first use, or not there at all."""
    embedded_model: Path | None = None
    """A GGUF file of the user's, served beside nova-tiny as the engine ``gguf``."""
    embedded_context_tokens: int = Field(default=4096, ge=256)
    embedded_slots: int = Field(default=4, ge=1, le=64)
    embedded_threads: int = Field(default=0, ge=0)
    ollama_url: str = "auto"
    """An address, ``auto`` (its usual one, where it answers), or ``off``."""
    openai_url: Texts = ()
    openai_api_key: SecretStr | None = None

    connect_timeout_s: float = Field(default=5, gt=0)
    first_token_timeout_s: float = Field(default=300, gt=0)
    between_tokens_timeout_s: float = Field(default=60, gt=0)
    total_timeout_s: float = Field(default=3600, gt=0)

    max_body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    max_json_depth: int = Field(default=64, ge=4, le=500)
    max_prompt_chars: int = Field(default=400_000, ge=1)
    max_connections: int = Field(default=4096, ge=1)
    heartbeat_s: float = Field(default=15, gt=0)
    send_timeout_s: float = Field(default=30, gt=0)
    shutdown_timeout_s: float = Field(default=10, ge=0)

    unknown_variables: tuple[str, ...] = Field(default=(), exclude=True)
    """``NOVA_*`` variables that mean nothing: most likely misspelt."""

    @property
    def limits(self) -> TimeLimits:
        return TimeLimits(
            connect_s=self.connect_timeout_s,
            first_token_s=self.first_token_timeout_s,
            between_tokens_s=self.between_tokens_timeout_s,
            total_s=self.total_timeout_s,
        )

    @model_validator(mode="after")
    def _origins_are_listed(self) -> "Settings":
        for origin in self.cors_origins:
            if "://" not in origin or origin.endswith("/"):
                msg = f"'{origin}' is not an origin such as https://app.example.org"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _aliases_lead_to_models(self) -> "Settings":
        for alias, target in self.aliases.items():
            if target in self.aliases:
                msg = f"alias '{alias}' leads to the alias '{target}'; name the model itself"
                raise ValueError(msg)
        return self


def config_file(environment: Mapping[str, str]) -> Path:
    """Where the user's own nova.toml lies, whether or not it is there."""
    folder = environment.get("NOVA_CONFIG_DIR") or platformdirs.user_config_dir("novasystem")
    return Path(folder) / "nova.toml"


def load_settings(
    *,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **flags: object,
) -> Settings:
    """Put the settings together; a flag of ``None`` was not given.

    Raises ``ConfigurationError`` that names the setting and the place it came from.
    """
    environment = os.environ if environment is None else environment
    if config is None and environment.get("NOVA_CONFIG"):
        config = Path(environment["NOVA_CONFIG"])
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    user_file = config_file(environment)
    files = [path for path in (user_file, config) if path is not None]
    for path in files:
        if path != user_file or path.exists():
            for name, value in _read_toml(path).items():
                merged[name], origin[name] = value, str(path)
    variables, unknown = _variables(environment)
    for name, (variable, text) in variables.items():
        merged[name], origin[name] = text, variable
    for name, value in flags.items():
        if value is not None:
            merged[name], origin[name] = value, f"--{name.replace('_', '-')}"
    merged["unknown_variables"] = unknown
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise _explain(error, origin) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        msg = f"The configuration file '{path}' cannot be read: {error.strerror}."
        raise ConfigurationError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"The configuration file '{path}' is not valid TOML: {error}."
        raise ConfigurationError(msg) from error


def _variables(
    environment: Mapping[str, str],
) -> tuple[dict[str, tuple[str, str]], tuple[str, ...]]:
    """``NOVA_*`` by setting, and those that are none. An empty variable counts as not set."""
    found: dict[str, tuple[str, str]] = {}
    unknown: list[str] = []
    settable = set(Settings.model_fields) - {"agents", "engines", "mcp", "unknown_variables"}
    # PORT is how many platforms say it; our own name has the last word.
    if environment.get("PORT"):
        found["port"] = ("PORT", environment["PORT"])
    for variable, text in environment.items():
        if not variable.startswith("NOVA_") or variable in _OTHER_VARIABLES or not text:
            continue
        name = variable.removeprefix("NOVA_").lower()
        if name in settable:
            found[name] = (variable, text)
        else:
            unknown.append(variable)
    return found, tuple(sorted(unknown))


def _explain(error: ValidationError, origin: Mapping[str, str]) -> ConfigurationError:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    name = ".".join(path) or "the settings"
    place = origin.get(path[0] if path else "", "")
    where = f" (from {place})" if place else ""
    hint = "docs/reference/settings.md lists every setting."
    if first["type"] == "extra_forbidden":
        tables: dict[str, Mapping[str, Any]] = {
            "agents": AgentSettings.model_fields,
            "engines": EngineSettings.model_fields,
            "mcp": McpServer.model_fields,
        }
        known = tables.get(path[0], {}) if len(path) > 1 else Settings.model_fields
        near = difflib.get_close_matches(path[-1], list(known), n=1)
        if near:
            hint = f"Did you mean '{near[0]}'?"
        return ConfigurationError(f"There is no setting '{name}'{where}.", hint=hint)
    return ConfigurationError(
        f"The setting '{name}'{where} is not valid: {first['msg']}.", hint=hint
    )
