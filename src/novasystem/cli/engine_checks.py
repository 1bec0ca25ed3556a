"""Engines, tried out: does each answer, and does the model that answers by default?"""

import shutil
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from novasystem.cli.checks import Check, problem, version_of
from novasystem.engines.embedded import check_gguf, nova_tiny_path
from novasystem.engines.protocol import Engine
from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest, Message, Sampling
from novasystem.errors import ConfigurationError, NovaError
from novasystem.settings import Settings

__all__ = ["of_engines", "weights"]


def weights(settings: Settings) -> tuple[Settings, Check | None]:
    """Settings with which the engines can be made, and what stood in the way.

    Without nova-tiny's weights no engine could be looked at, so it is left out then.
    """
    if settings.embedded == "off":
        return settings, Check("embedded", "note", "nova-tiny is switched off (embedded = off)")
    try:
        check_gguf(nova_tiny_path())
    except ConfigurationError as error:
        hint = "The installation is incomplete: install NovaSystem again, or set NOVA_EMBEDDED=off."
        missing = Check("embedded", "problem", error.message, hint)
        return settings.model_copy(update={"embedded": "off"}), missing
    return settings, None


async def of_engines(registry: Registry) -> AsyncGenerator[Check, None]:
    for pool in registry.pools.values():
        for engine in pool.engines:
            if engine.kind == "embedded":
                yield await _embedded(engine)
            else:
                yield await _server(engine, expected=pool.expected)
    yield await _default_model(registry)
    for alias, target in registry.aliases.items():
        try:
            await registry.resolve(alias)
        except NovaError as error:
            detail = f"'{alias}' leads to '{target}': {error.message}"
            yield Check("alias", "warning", detail, error.hint)


async def _embedded(engine: Engine) -> Check:
    """Start it and have it say one token: nothing less shows that llama.cpp works here."""
    version = f"xllamacpp {version_of('xllamacpp') or 'not installed'}"
    try:
        model = (await engine.models())[0].name
        begun = time.perf_counter()
        await engine.load(model)
        ready = time.perf_counter()
        request = GenerateRequest(
            model=model, messages=(Message("user", "Hi."),), sampling=Sampling(max_tokens=1)
        )
        async with aclosing(engine.generate(request)) as events:
            async for _ in events:
                pass
        answered = time.perf_counter()
    except NovaError as error:
        return Check(engine.name, "problem", f"{version}: {error.message}", error.hint)
    took = f"started in {ready - begun:.2f} s, answered in {answered - ready:.2f} s"
    return Check(engine.name, "ok", f"{model} ({engine.where}), {version}: {took}")


async def _server(engine: Engine, *, expected: bool) -> Check:
    health = await engine.health()
    if health.ok:
        try:
            models = await engine.models()
        except NovaError as error:
            return Check(engine.name, "problem", error.message, error.hint)
        many = f"{len(models)} model{'' if len(models) == 1 else 's'}"
        detail = f"{health.detail} at {engine.where}, {many}"
        if not models:
            pull = "'ollama pull llama3.2' brings one." if engine.kind == "ollama" else ""
            return Check(engine.name, "warning", detail, pull)
        return Check(engine.name, "ok", detail)
    if engine.kind != "ollama":
        return Check(engine.name, "problem", health.detail, health.hint)
    start = (
        "It is installed: 'ollama serve' starts it."
        if shutil.which("ollama")
        else "To use it, install it from https://ollama.com and start it with 'ollama serve'."
    )
    if expected:
        return Check(engine.name, "problem", health.detail, start)
    return Check(engine.name, "note", f"not found at {engine.where}", start)


async def _default_model(registry: Registry) -> Check:
    try:
        resolved = await registry.resolve(None)
    except NovaError as error:
        return problem("default model", error)
    detail = f"{registry.default_model}, on the engine {resolved.pool.name}"
    return Check("default model", "ok", detail)
