"""The engines there are, in one visible dictionary; a package may add its own by entry point.

An entry point of the group ``novasystem.engines`` names a function of the same shape as those
here: ``(name, EngineSettings, api_key) -> list[Engine]``, one engine for each address.
"""

from collections.abc import Callable, Mapping
from importlib import metadata

from novasystem.engines.embedded import (
    NOVA_TINY,
    NOVA_TINY_CONTEXT,
    EmbeddedEngine,
    check_gguf,
    nova_tiny_path,
)
from novasystem.engines.keeper import ChildConfig, Keeper
from novasystem.engines.ollama import OllamaEngine
from novasystem.engines.openai_http import FLAVOURS, OpenAIEngine
from novasystem.engines.protocol import Engine
from novasystem.engines.registry import Pool, Registry
from novasystem.errors import ConfigurationError
from novasystem.settings import EngineSettings, Settings

__all__ = ["KINDS", "build_registry", "embedded_children"]

OLLAMA_USUAL = "http://127.0.0.1:11434"

Maker = Callable[[str, EngineSettings, str | None], list[Engine]]


def _ollama(name: str, settings: EngineSettings, api_key: str | None) -> list[Engine]:
    addresses = settings.addresses or (OLLAMA_USUAL,)
    return [OllamaEngine(name, address, api_key=api_key) for address in addresses]


def _openai(name: str, settings: EngineSettings, api_key: str | None) -> list[Engine]:
    if not settings.addresses:
        msg = f"Engine '{name}' has no address."
        raise ConfigurationError(msg, hint=f"Set addresses under [engines.{name}].")
    if settings.flavour is not None and settings.flavour not in FLAVOURS:
        msg = f"Engine '{name}' has the unknown flavour '{settings.flavour}'."
        raise ConfigurationError(msg, hint=f"Flavours: {', '.join(FLAVOURS)}.")
    return [
        OpenAIEngine(name, address, api_key=api_key, flavour=settings.flavour, tools=settings.tools)
        for address in settings.addresses
    ]


def _embedded(name: str, settings: EngineSettings, _api_key: str | None) -> list[Engine]:
    return [EmbeddedEngine(name, _child(name, settings))]


def _child(name: str, settings: EngineSettings) -> ChildConfig:
    path = settings.model_file
    if path is None:
        msg = f"Engine '{name}' has no model_file."
        raise ConfigurationError(msg, hint=f"Name a GGUF file under [engines.{name}].")
    return ChildConfig(
        model_path=path.expanduser(),
        model_name=settings.model_name or path.stem,
        context_tokens=settings.context_tokens,
        slots=settings.slots,
        threads=settings.threads,
    )


KINDS: dict[str, Maker] = {"embedded": _embedded, "ollama": _ollama, "openai": _openai}


def _maker(name: str, kind: str) -> Maker:
    if kind in KINDS:
        return KINDS[kind]
    added = metadata.entry_points(group="novasystem.engines")
    for point in added:
        if point.name == kind:
            maker: Maker = point.load()
            return maker
    kinds = ", ".join([*KINDS, *(point.name for point in added)])
    msg = f"Engine '{name}' is of the unknown kind '{kind}'."
    raise ConfigurationError(msg, hint=f"Kinds: {kinds}.")


def _wanted(settings: Settings) -> dict[str, EngineSettings]:
    """The engines of the short settings first, then those under ``[engines]``, by name."""
    wanted: dict[str, EngineSettings] = {}
    if settings.embedded != "off":
        wanted["embedded"] = EngineSettings(
            kind="embedded",
            model_file=nova_tiny_path(),
            model_name=NOVA_TINY,
            context_tokens=NOVA_TINY_CONTEXT,
            slots=settings.embedded_slots,
            # A model this small gains nothing by a second thread, and on a busy machine loses much:
            # a token then waits until both threads have had their turn.
            threads=settings.embedded_threads or 1,
            max_concurrent=settings.embedded_slots,
            max_queued=256,
        )
    if settings.embedded_model is not None:
        wanted["gguf"] = EngineSettings(
            kind="embedded",
            model_file=settings.embedded_model,
            context_tokens=settings.embedded_context_tokens,
            slots=settings.embedded_slots,
            threads=settings.embedded_threads,
            max_concurrent=settings.embedded_slots,
            max_queued=256,
        )
    if settings.ollama_url != "off":
        address = OLLAMA_USUAL if settings.ollama_url == "auto" else settings.ollama_url
        wanted["ollama"] = EngineSettings(kind="ollama", addresses=(address,))
    if settings.openai_url:
        wanted["openai"] = EngineSettings(kind="openai", addresses=settings.openai_url)
    wanted.update(settings.engines)
    return wanted


def embedded_children(settings: Settings) -> dict[str, ChildConfig]:
    """What the child of each embedded engine serves, by the engine's name.

    Raises ``ConfigurationError`` where a model file cannot be read.
    """
    found: dict[str, ChildConfig] = {}
    for name, wanted in _wanted(settings).items():
        if wanted.kind == "embedded":
            found[name] = _child(name, wanted)
            check_gguf(found[name].model_path)
    return found


def build_registry(
    settings: Settings,
    environment: Mapping[str, str],
    keepers: Mapping[str, Keeper] | None = None,
) -> Registry:
    """Make every engine that the settings name; none is asked anything yet.

    ``environment``: where the keys lie that ``api_key_env`` names. ``keepers``: who keeps the
    children of the embedded engines, by engine, where that is not this process.
    """
    pools: list[Pool] = []
    for name, wanted in _wanted(settings).items():
        api_key = environment.get(wanted.api_key_env) if wanted.api_key_env else None
        if wanted.api_key_env and api_key is None:
            msg = f"Engine '{name}' takes its key from {wanted.api_key_env}, which is not set."
            raise ConfigurationError(msg, hint=f"Set {wanted.api_key_env} in the environment.")
        if name == "openai" and settings.openai_api_key is not None and api_key is None:
            api_key = settings.openai_api_key.get_secret_value()
        if keepers is not None and name in keepers:
            child = _child(name, wanted)
            engines: list[Engine] = [EmbeddedEngine(name, child, keepers[name])]
        else:
            engines = _maker(name, wanted.kind)(name, wanted, api_key)
        expected = name != "ollama" or settings.ollama_url != "auto" or name in settings.engines
        pools.append(
            Pool(
                name,
                engines,
                max_concurrent=wanted.max_concurrent,
                max_queued=wanted.max_queued,
                expected=expected,
            )
        )
    return Registry(
        pools,
        aliases=settings.aliases,
        default_model=settings.default_model,
        reserved={NOVA_TINY: "embedded"},
    )
