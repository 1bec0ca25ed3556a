"""Runs, begun through the doors that begin them and looked at through the general one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.http.doors import Door
from tests.http.wire import ask, eventually, opened
from tests.servers.nova import nova_server
from tests.servers.scripted import scripted_server
from tests.servers.speaker import speaking

__all__ = ["A", "B", "assistant_run", "chat", "run_of", "settings", "settled", "told_door"]

A, B = {"authorization": "Bearer key-a"}, {"authorization": "Bearer key-b"}


def settings(upstream_url: str) -> dict[str, str]:
    return {
        "NOVA_API_KEYS": "key-a,key-b",
        "NOVA_EMBEDDED": "off",
        "NOVA_DEFAULT_MODEL": "speaker",
        "NOVA_HEARTBEAT_S": "0.3",
        "NOVA_OPENAI_URL": f"{upstream_url}/v1",
    }


@contextmanager
def told_door(folder: Path, more: Mapping[str, str] | None = None) -> Iterator[Door]:
    """A server before a model that does what it is told."""
    with scripted_server() as upstream:
        speaking(upstream)
        with nova_server(folder, {**settings(upstream.url), **(more or {})}) as server:
            yield Door(server, upstream)


def chat(port: int, message: str, headers: Mapping[str, str] | None = None) -> str:
    """A turn of a conversation of its own, to its end; the run's id."""
    with opened(port, "/api/v1/chat", {"message": message}, headers) as stream:
        run_id: str = stream.headers["x-run-id"]
        stream.rest()
    return run_id


def assistant_run(port: int, message: str, headers: Mapping[str, str] | None = None) -> str:
    """A run in the background, which goes on whoever watches it."""
    made = ask(port, "POST", "/v1/assistants", {"model": "speaker"}, headers)
    assert made.status == 201, made.text
    thread = {"messages": [{"role": "user", "content": message}]}
    body = {"assistant_id": made.json["id"], "thread": thread}
    begun = ask(port, "POST", "/v1/threads/runs", body, headers)
    assert begun.status in {200, 201}, begun.text
    run_id: str = begun.json["id"]
    return run_id


def run_of(port: int, run_id: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = ask(port, "GET", f"/api/runs/{run_id}", headers=headers).json
    return found


def settled(port: int, run_id: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The run once it has ended."""

    def ended() -> dict[str, Any] | None:
        run = run_of(port, run_id, headers)
        return run if run.get("ended_at") is not None else None

    return eventually(ended, 30)
