"""Settings: whose word counts, what may be written, and errors that say where to look."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from novasystem.errors import ConfigurationError
from novasystem.settings import Settings, config_file, load_settings

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """``load_settings`` with the user's folder below ``tmp_path`` and nothing else set."""

    def loaded(
        *,
        user: str | None = None,
        config: str | None = None,
        environment: Mapping[str, str] | None = None,
        **flags: object,
    ) -> Settings:
        given = {"NOVA_CONFIG_DIR": str(tmp_path), **(environment or {})}
        if user is not None:
            config_file(given).write_text(user)
        named = None
        if config is not None:
            named = tmp_path / "named.toml"
            named.write_text(config)
        return load_settings(config=named, environment=given, **flags)

    return loaded


def test_without_anything_the_defaults_hold(load: Load) -> None:
    settings = load()
    assert (settings.host, settings.port, settings.default_model) == (
        "127.0.0.1",
        8000,
        "nova-tiny",
    )
    assert settings.limits.first_token_s == 300


def test_flags_before_environment_before_config_before_the_users_file(load: Load) -> None:
    user, config, environment = "port = 1", "port = 2", {"NOVA_PORT": "3"}
    assert load(user=user).port == 1
    assert load(user=user, config=config).port == 2
    assert load(user=user, config=config, environment=environment).port == 3
    assert load(user=user, config=config, environment=environment, port=4).port == 4


def test_each_setting_comes_from_the_first_place_that_has_it(load: Load) -> None:
    settings = load(
        user='host = "h1"\nport = 1\nlog_level = "debug"',
        config='host = "h2"\nport = 2',
        environment={"NOVA_HOST": "h3"},
        port=None,
    )
    assert (settings.host, settings.port, settings.log_level) == ("h3", 2, "debug")


def test_a_file_in_the_current_folder_is_never_read(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "unpacked"
    here.mkdir()
    (here / "nova.toml").write_text("port = 1")
    monkeypatch.chdir(here)
    assert load().port == 8000


def test_the_environment_can_name_the_config_file(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("port = 5")
    assert load(environment={"NOVA_CONFIG": str(file)}).port == 5
    assert load(environment={"NOVA_CONFIG": str(file)}, config="port = 6").port == 6


@pytest.mark.parametrize(
    ("environment", "name", "value"),
    [
        ({"NOVA_OPENAI_URL": "http://a/v1, http://b/v1,"}, "openai_url",
         ("http://a/v1", "http://b/v1")),
        ({"NOVA_ALIASES": "gpt-4=nova-tiny, x = org/m"}, "aliases",
         {"gpt-4": "nova-tiny", "x": "org/m"}),
        ({"NOVA_ALLOWED_HOSTS": "nova.example"}, "allowed_hosts", ("nova.example",)),
        ({"NOVA_FIRST_TOKEN_TIMEOUT_S": "2.5"}, "first_token_timeout_s", 2.5),
        ({"NOVA_EMBEDDED_MODEL": "/m.gguf"}, "embedded_model", Path("/m.gguf")),
        ({"NOVA_PORT": ""}, "port", 8000),
        ({"PORT": "7"}, "port", 7),
        ({"PORT": "7", "NOVA_PORT": "9"}, "port", 9),
        ({"NOVA_PORT": "9", "PORT": "7"}, "port", 9),
    ],
)  # fmt: skip
def test_the_environment_can_say_it(
    load: Load, environment: dict[str, str], name: str, value: object
) -> None:
    assert getattr(load(environment=environment), name) == value


def test_tables_and_lists_in_a_file(load: Load) -> None:
    settings = load(
        user="""
        openai_url = ["http://a/v1"]
        [aliases]
        gpt-4 = "nova-tiny"
        [engines.vllm]
        kind = "openai"
        addresses = ["http://a", "http://b"]
        api_key_env = "VLLM_KEY"
        """
    )
    assert settings.openai_url == ("http://a/v1",)
    assert settings.aliases == {"gpt-4": "nova-tiny"}
    assert settings.engines["vllm"].addresses == ("http://a", "http://b")


def test_secrets_do_not_show(load: Load) -> None:
    settings = load(
        environment={"NOVA_API_KEYS": "canary-1,canary-2", "NOVA_OPENAI_API_KEY": "sk-canary"}
    )
    assert len(settings.api_keys) == 2
    assert settings.api_keys[1].get_secret_value() == "canary-2"
    assert "canary" not in repr(settings)
    assert "canary" not in settings.model_dump_json()


def test_misspelt_variables_are_told_and_those_of_the_surroundings_are_not(load: Load) -> None:
    settings = load(environment={"NOVA_PROT": "1", "NOVA_ENGINES": "x", "NOVA_OLLAMA_BIN": "/x"})
    assert settings.unknown_variables == ("NOVA_ENGINES", "NOVA_PROT")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"environment": {"NOVA_PORT": "x"}}, ["'port'", "from NOVA_PORT"]),
        ({"environment": {"PORT": "70000"}}, ["'port'", "from PORT"]),
        ({"port": -1}, ["'port'", "from --port"]),
        ({"log_level": "loud"}, ["'log_level'", "from --log-level"]),
        ({"user": "port = 'x'"}, ["'port'", "nova.toml"]),
        ({"config": "port = 'x'"}, ["'port'", "named.toml"]),
        ({"config": "prot = 1"}, ["no setting 'prot'", "named.toml", "Did you mean 'port'?"]),
        ({"config": "[engines.a]\nkind = 'openai'\nadresses = ['x']"},
         ["no setting 'engines.a.adresses'", "named.toml", "Did you mean 'addresses'?"]),
        ({"config": "[engines.a]\naddresses = ['x']"}, ["'engines.a.kind'", "named.toml"]),
        ({"config": "[engines.a]\nkind = 'openai'\nmax_concurrent = 0"},
         ["'engines.a.max_concurrent'", "named.toml"]),
        ({"config": "port = "}, ["not valid TOML", "named.toml"]),
        ({"config": "x" * 3}, ["not valid TOML", "named.toml"]),
        ({"environment": {"NOVA_CONFIG": "/gone/n.toml"}}, ["/gone/n.toml", "cannot be read"]),
        ({"environment": {"NOVA_ALIASES": "gpt-4"}}, ["'aliases'", "NOVA_ALIASES", "name=model"]),
        ({"environment": {"NOVA_ALIASES": "=x"}}, ["'aliases'", "NOVA_ALIASES", "name=model"]),
        ({"config": "[aliases]\na = 'b'\nb = 'c'"}, ["alias 'a' leads to the alias 'b'"]),
        ({"environment": {"NOVA_TOTAL_TIMEOUT_S": "0"}}, ["'total_timeout_s'"]),
        ({"environment": {"NOVA_TOTAL_TIMEOUT_S": "nan"}}, ["'total_timeout_s'"]),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_an_error_names_the_setting_and_where_it_came_from(
    load: Load, given: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(**given)
    for word in words:
        assert word in str(error.value)


def test_a_file_that_is_no_text_is_told(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "binary.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"binary\.toml.*not valid TOML"):
        load(environment={"NOVA_CONFIG": str(file)})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(environment={"NOVA_CONFIG": str(tmp_path)})


def test_settings_cannot_be_changed_later(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1  # type: ignore[misc]
