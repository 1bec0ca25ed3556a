"""Who may ask: the Host, the Origin and the key of every request, before anything else is done.

A server on loopback is within reach of every web page that the user opens. Two things keep such a
page out: a ``Host`` that is not ours (DNS rebinding) is refused, and so is a write whose
``Origin`` or ``Sec-Fetch-Site`` says that it comes from elsewhere.

Where keys are set, a request has one, or a browser's session that was given for one: both name the
same owner. A session is sent by the browser unasked, so that it counts for our own pages alone. It
stands beside an ``Authorization`` that is no key, such as what a proxy before us asks for.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from novasystem.addresses import is_loopback
from novasystem.errors import Forbidden, InvalidRequest, NovaError, Unauthenticated
from novasystem.http.errors import answer_error
from novasystem.http.keys import Keys, sessions_in
from novasystem.settings import Settings

__all__ = ["Guard"]

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# Probes come without keys and tell nothing but a state; the way in has to be open, and what its
# page is made of is everybody's.
_OPEN_PATHS = {"/health", "/ready", "/login", "/logout", "/favicon.ico"}
_OPEN_BELOW = "/static/"
_OWN_SITES = {b"", b"same-origin", b"none"}
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
        self._keys = Keys(settings.api_keys)

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
        origin = site = mode = key = cookie = b""
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                # Two of them are none that is allowed.
                origin = origin + b", " + value if origin else value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"sec-fetch-mode":
                mode = value
            elif name == b"authorization":
                key = value
            elif name == b"cookie":
                cookie = cookie + b"; " + value if cookie else value
        self._check_host(hosts)
        safe = scope["method"] in _SAFE_METHODS
        if not safe:
            self._check_origin(hosts[0], origin.decode("latin-1"), site)
        if scope["method"] == "OPTIONS" or _is_open(scope["path"]):
            return
        if not self._keys:
            self._check_reached(scope["server"])
        elif not cookie or _scheme(key) == "bearer":
            scope["nova.owner"] = self._check_key(key)
        else:
            scope["nova.owner"] = self._check_session(cookie.decode("latin-1"))
            scope["nova.session"] = True
            led_here = safe and mode == b"navigate"
            if (site not in _OWN_SITES and not led_here) or (
                origin and not safe and not _is_own(origin, hosts[0])
            ):
                raise Forbidden(
                    "Only this server's own pages may use the session of its user.",
                    hint="Send 'Authorization: Bearer KEY' from elsewhere.",
                )

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
            if not _is_own(origin.encode("latin-1"), host) and origin not in self._origins:
                raise Forbidden(
                    f"Web pages of '{origin[:80]}' may not write to this server.",
                    hint="Add the origin to cors_origins to allow them.",
                )
        elif site not in _OWN_SITES:
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
        key = header.decode("latin-1").partition(" ")[2]
        if _scheme(header) != "bearer" or not key:
            raise Unauthenticated(
                "This server needs a key.", hint="Send 'Authorization: Bearer KEY'."
            )
        owner = self._keys.owner(key.strip())
        if owner is None:
            raise Unauthenticated("The key is not known.", hint="Check NOVA_API_KEYS.")
        return owner

    def _check_session(self, cookie: str) -> str:
        """The owner whose session a browser sent."""
        sent = list(sessions_in(cookie))
        for value in sent:
            owner = self._keys.session_owner(value)
            if owner is not None:
                return owner
        if sent:
            raise Unauthenticated("The session is over.", hint="Log in again.")
        raise Unauthenticated(
            "This server needs a key.", hint="Send 'Authorization: Bearer KEY', or log in."
        )


def _scheme(header: bytes) -> str:
    """Of an ``Authorization`` header; empty where there is none."""
    return header.decode("latin-1").partition(" ")[0].casefold()


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_BELOW)


def _is_own(origin: bytes, host: bytes) -> bool:
    return origin.partition(b"://")[2].lower() == host.lower()


def _host_name(header: str) -> str:
    """The name in a Host header, without its port and brackets; empty where it has none."""
    found = _HOST.fullmatch(header.strip().casefold())
    return "" if found is None else found["address"] or found["name"].removesuffix(".")
