"""How the tests of memory ask it: whose it is, with which engines, and for what."""

from typing import Any

from novasystem.engines.kinds import build_registry
from novasystem.engines.registry import Registry
from novasystem.nova.memory import Memory
from novasystem.settings import Settings

__all__ = ["ME", "OTHER", "engines", "texts"]

ME, OTHER = "owner_me", "owner_other"


def engines(**given: Any) -> Registry:
    return build_registry(Settings(embedded="off", ollama_url="off", **given), {})


async def texts(memory: Memory, query: str, owner: str = ME, **more: Any) -> list[str]:
    return [found.text for found in await memory.recall(owner, query, **more)]
