"""Our server before a scripted engine, so that a test decides what the engine does."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.answers import Step, json_answer
from tests.servers.nova import NovaServer, nova_server
from tests.servers.scripted import ScriptedServer, Seen, scripted_server

__all__ = ["COMPLETIONS", "Door", "open_door"]

COMPLETIONS = "/v1/chat/completions"
_MODELS = {
    "object": "list",
    "data": [
        {"id": name, "object": "model", "created": 7, "owned_by": "vllm"}
        for name in ("scripted", "org/named")
    ],
}
_SETTINGS = {
    "NOVA_EMBEDDED": "off",
    "NOVA_DEFAULT_MODEL": "scripted",
    "NOVA_ALIASES": "gpt-4=scripted",
    "NOVA_HEARTBEAT_S": "0.3",
    "NOVA_SEND_TIMEOUT_S": "1",
    "NOVA_FIRST_TOKEN_TIMEOUT_S": "3",
    "NOVA_BETWEEN_TOKENS_TIMEOUT_S": "3",
}


@dataclass(frozen=True)
class Door:
    server: NovaServer
    upstream: ScriptedServer

    @property
    def port(self) -> int:
        return self.server.port

    def answers(self, *answers: Sequence[Step]) -> None:
        """What the engine answers to generations, in turn; what it saw before is forgotten."""
        with self.upstream.change():
            self.upstream.seen.clear()
        self.upstream.on("POST", COMPLETIONS, *answers)

    @property
    def asked(self) -> list[Seen]:
        """The generations that the engine was asked for."""
        return [seen for seen in list(self.upstream.seen) if seen.path == COMPLETIONS]

    def left_after_s(self, left_at_ns: int, within_s: float = 5.0) -> float:
        """How long after ``left_at_ns`` the first generation was stopped."""

        def stopped(upstream: ScriptedServer) -> int | None:
            return next((s.client_left_at_ns for s in self.asked if s.client_left_at_ns), None)

        return (self.upstream.wait_for(stopped, within_s) - left_at_ns) / 1e9


@contextmanager
def open_door(
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    scheme: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Door]:
    """``tls``: what the engine shows, if it is not reached by plain http. ``scheme``: how the
    settings write its address, if not as everybody does."""
    with scripted_server(tls) as upstream:
        upstream.on("GET", "/v1/models", json_answer(200, _MODELS))
        address = f"{scheme or upstream.scheme}://127.0.0.1:{upstream.port}/v1"
        more = {**_SETTINGS, "NOVA_OPENAI_URL": address, **(environment or {})}
        with nova_server(folder, more) as server:
            yield Door(server, upstream)
