"""Which addresses can be reached from other machines, and what a server there needs."""

import functools
import ipaddress

from novasystem.errors import ConfigurationError
from novasystem.settings import Settings

__all__ = ["check_address", "is_loopback"]


@functools.lru_cache
def is_loopback(host: str) -> bool:
    """Whether ``host``, an address or a name to bind to, is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def check_address(settings: Settings) -> None:
    """Refuse an address that others can reach where no key is set."""
    if not is_loopback(settings.host) and not settings.api_keys:
        raise ConfigurationError(
            f"'{settings.host}' can be reached from other machines, and no key is set: whoever "
            "finds the server could use it.",
            hint="Set NOVA_API_KEYS to a long random text (and allowed_hosts to the names under "
            "which it is asked), or serve on 127.0.0.1.",
        )
