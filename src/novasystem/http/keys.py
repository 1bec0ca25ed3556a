"""The keys that open the server, and the sessions of browsers that were given for one of them.

A browser cannot send a key with every request (an ``EventSource`` sends no headers of ours), and
must not keep it. So it gets a session in a cookie: when it ends, whose it is, and a signature
made with a secret that comes from the key alone. Nothing is stored: every process that knows the
key takes it, and none does any more once the key is gone.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

from pydantic import SecretStr

from novasystem.errors import Overloaded

__all__ = ["COOKIE", "SESSION_S", "Guesses", "Keys", "sessions_in"]

COOKIE = "nova_session"
SESSION_S = 7 * 24 * 3600
_PURPOSE = b"novasystem: session of a browser, 1"
_MOST_ADDRESSES = 10_000


class Keys:
    """Those of the settings. An owner's name is made of its key: the same at every start, and of
    no use to find the key, which is random."""

    def __init__(self, keys: Iterable[SecretStr]) -> None:
        # Keys are compared as keyed hashes, so that a comparison tells nothing about them.
        self._pepper = secrets.token_bytes(32)
        self._known: dict[bytes, str] = {}
        self._signing: dict[str, bytes] = {}
        for key in keys:
            text = key.get_secret_value().encode("utf-8", "replace")
            owner = f"key_{hashlib.sha256(text).hexdigest()[:32]}"
            self._known[self._digest(text)] = owner
            self._signing[owner] = hmac.digest(text, _PURPOSE, "sha256")

    def __bool__(self) -> bool:
        return bool(self._known)

    def owner(self, key: str) -> str | None:
        """Whose ``key`` is; takes as long for a wrong one as for a right one."""
        asked = self._digest(key.encode("utf-8", "replace"))
        found = None
        for digest, owner in self._known.items():
            if hmac.compare_digest(digest, asked):
                found = owner
        return found

    def new_session(self, owner: str, now_s: float | None = None) -> str:
        """The value of a cookie that stands for ``owner`` for ``SESSION_S``."""
        begun = time.time() if now_s is None else now_s
        said = f"{int(begun) + SESSION_S}.{secrets.token_hex(8)}.{owner}"
        return f"{said}.{self._sign(owner, said)}"

    def session_owner(self, value: str, now_s: float | None = None) -> str | None:
        """Whose session ``value`` is; ``None`` for one that is over, altered, or of a key that is
        not known any more."""
        said, _, signature = value.rpartition(".")
        until, _, rest = said.partition(".")
        owner = rest.partition(".")[2]
        if owner not in self._signing or not (until.isascii() and until.isdigit()):
            return None
        if not hmac.compare_digest(self._sign(owner, said).encode(), signature.encode()):
            return None
        now = time.time() if now_s is None else now_s
        return owner if now < int(until) else None

    def _sign(self, owner: str, said: str) -> str:
        return hmac.new(self._signing[owner], said.encode(), "sha256").hexdigest()

    def _digest(self, key: bytes) -> bytes:
        return hmac.digest(self._pepper, key, "sha256")


def sessions_in(header: str) -> Iterator[str]:
    """The sessions that a ``Cookie`` header holds: another server of this host may have set one."""
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and value:
            yield value


class Guesses:
    """Keys that were tried in vain. ``most`` of one address, and ten times as many of all, within
    ``within_s``: then nobody may try for a while."""

    def __init__(self, most: int = 10, within_s: float = 60.0) -> None:
        self._most = most
        self._within_s = within_s
        self._by: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque()

    def check(self, address: str) -> None:
        """Raises ``Overloaded`` where too many were wrong a moment ago."""
        now = time.monotonic()
        tried = self._by.get(address, deque())
        for times, most in ((tried, self._most), (self._all, 10 * self._most)):
            while times and now - times[0] > self._within_s:
                times.popleft()
            if len(times) >= most:
                raise Overloaded(
                    "Too many wrong keys were tried.",
                    hint="Wait a minute, then try again.",
                    retry_after_s=max(1, int(self._within_s - (now - times[0])) + 1),
                )

    def wrong(self, address: str) -> None:
        """Note a key that was wrong."""
        now = time.monotonic()
        self._all.append(now)
        self._by.setdefault(address, deque(maxlen=self._most)).append(now)
        self._by.move_to_end(address)
        while len(self._by) > _MOST_ADDRESSES:
            self._by.popitem(last=False)
