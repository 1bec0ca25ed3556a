"""An engine out of its address alone: how another process asks it."""

from novasystem.engines.ollama import OllamaEngine
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.protocol import Address, Engine

__all__ = ["connect"]


def connect(name: str, address: Address, *, exact: bool = False) -> Engine:
    """The engine called ``name`` that listens at ``address``. ``exact``: for measuring, arrivals
    are stamped at the socket.

    What we keep ourselves stays its keeper's: the engine made here cannot load or unload it.
    """
    if address.speaks == "ollama":
        return OllamaEngine(name, address.url, api_key=address.api_key, exact=exact)
    return OpenAIEngine(
        name,
        address.url,
        api_key=address.api_key,
        flavour=address.flavour,
        unix_socket=address.unix_socket,
        reuse_connections=address.reuse,
        exact=exact,
    )
