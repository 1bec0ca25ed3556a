"""One engine of a scripted server in a registry, and how it is asked."""

from contextlib import aclosing

from novasystem.engines.events import Event
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.protocol import Engine
from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest, Message
from tests.engines.asking import LIMITS
from tests.servers.answers import json_answer
from tests.servers.scripted import ScriptedServer

__all__ = ["CHAT", "NOWHERE", "answer", "asked", "far", "list_models"]

NOWHERE = "http://127.0.0.1:1"
CHAT = "/v1/chat/completions"


def list_models(server: ScriptedServer, *names: str) -> None:
    data = [{"id": name} for name in names]
    server.on("GET", "/v1/models", json_answer(200, {"data": data}, keep_alive=False))


def far(name: str, url: str) -> Engine:
    return OpenAIEngine(name, url, flavour="openai")


def asked(model: str) -> GenerateRequest:
    return GenerateRequest(model, (Message("user", "Hi"),), limits=LIMITS)


async def answer(registry: Registry, model: str) -> list[Event]:
    async with aclosing(registry.generate(asked(model))) as events:
        return [event async for event in events]
