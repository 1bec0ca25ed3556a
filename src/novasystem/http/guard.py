"""Who may ask: the Host, the Origin and the key of every request, before anything else is done.

A server on loopback is within reach of every web page that the user opens. Two things keep such a
page out: a ``Host`` that is not ours (DNS rebinding) is refused, and so is a write whose
``Origin`` or ``Sec-Fetch-Site`` says that it comes from elsewhere.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from novasystem.addresses import is_loopback
from novasystem.errors import Forbidden, InvalidRequest, NovaError, Unauthenticated
from novasystem.http.errors import answer_error
from novasystem.settings import Settings

__all__ = ["Guard"]

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# Probes come without keys and tell nothing but a state.
_OPEN_PATHS = {"/health", "/ready"}
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_WILDCARDS = {"0.0.0.0", "::", ""}
_HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\s:\[\]]+))(:[0-9]{1,5})?")


class Guard:
    """ASGI middleware; what it refuses never reaches the application."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        names = [*_LOCAL_NAMES, *settings.allowed_hosts]
        if settings.host not in _WILDCARDS:
            names.append(settings.host)
        self._hosts = frozenset(name.casefold() for name in names)
        self._origins = frozenset(origin.rstrip("/") for origin in settings.cors_origins)
        # Keys are compared as keyed hashes, so that a comparison tells nothing about them.
        self._secret = secrets.token_bytes(32)
        self._keys = frozenset(self._digest(key.get_secret_value()) for key in settings.api_keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except NovaError as error:
            scope["nova.error_code"] = error.code
            await answer_error(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        hosts: list[bytes] = []
        origin = site = key = b""
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                # Two of them are none that is allowed.
                origin = origin + b", " + value if origin else value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"authorization":
                key = value
        self._check_host(hosts)
        if scope["method"] not in _SAFE_METHODS:
            self._check_origin(hosts[0], origin.decode("latin-1"), site)
        if scope["path"] not in _OPEN_PATHS and scope["method"] != "OPTIONS":
            if self._keys:
                scope["nova.owner"] = self._check_key(key)
            else:
                self._check_reached(scope["server"])

    def _check_host(self, hosts: list[bytes]) -> None:
        if len(hosts) != 1:
            raise InvalidRequest("A request has exactly one Host header.")
        host = hosts[0].decode("latin-1")
        if _host_name(host) not in self._hosts:
            raise Forbidden(
                f"This server is not asked under the name '{host[:80]}'.",
                hint="Use localhost, or add the name to allowed_hosts.",
            )

    def _check_origin(self, host: bytes, origin: str, site: bytes) -> None:
        if origin:
            own = origin.partition("://")[2].casefold() == host.decode("latin-1").casefold()
            if not own and origin not in self._origins:
                raise Forbidden(
                    f"Web pages of '{origin[:80]}' may not write to this server.",
                    hint="Add the origin to cors_origins to allow them.",
                )
        elif site not in {b"", b"same-origin", b"none"}:
            raise Forbidden("A web page elsewhere may not write to this server.")

    def _check_reached(self, server: tuple[str, int | None] | None) -> None:
        """Without keys only this machine may ask, also where another program chose the address."""
        if server is not None and server[1] is not None and not is_loopback(server[0]):
            raise Forbidden(
                "This server has no key, and can be reached from other machines.",
                hint="Set NOVA_API_KEYS to a long random text, or serve on 127.0.0.1.",
            )

    def _check_key(self, header: bytes) -> str:
        """The owner that the key stands for."""
        scheme, _, key = header.decode("latin-1").partition(" ")
        if scheme.casefold() != "bearer" or not key:
            raise Unauthenticated(
                "This server needs a key.", hint="Send 'Authorization: Bearer KEY'."
            )
        if not _contains(self._keys, self._digest(key.strip())):
            raise Unauthenticated("The key is not known.", hint="Check NOVA_API_KEYS.")
        # The same at every start, and of no use to find the key, which is random.
        return f"key_{hashlib.sha256(key.strip().encode()).hexdigest()[:32]}"

    def _digest(self, key: str) -> bytes:
        return hmac.new(self._secret, key.encode("utf-8", "replace"), hashlib.sha256).digest()


def _contains(known: Iterable[bytes], digest: bytes) -> bool:
    """Whether ``digest`` is among them; takes as long for a wrong one as for a right one."""
    found = False
    for one in known:
        found |= hmac.compare_digest(one, digest)
    return found


def _host_name(header: str) -> str:
    """The name in a Host header, without its port and brackets; empty where it has none."""
    found = _HOST.fullmatch(header.strip().casefold())
    return "" if found is None else found["address"] or found["name"].removesuffix(".")
