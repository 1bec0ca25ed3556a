"""Who takes part: our two doors, the relay in two forms, the raw upstream, and on request a peer.

All of them stand before the same upstream, in the same run, at the same time; only one is under
load at any moment.
"""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tools.perf.client import Job, Outcome
from tools.perf.processes import LoadClient, Process, free_port, load_client, process
from tools.perf.upstream import Workload

__all__ = [
    "CHAT",
    "COMPLETIONS",
    "MODELS",
    "RAW",
    "RELAY",
    "Contestant",
    "PeerProcess",
    "Stage",
    "nova",
    "stage",
]

RAW = "upstream itself"
RELAY = "bare relay"
NOVA = "nova"
MODELS = ("burst-512", "burst-64", "paced-100-10-10", "paced-4-5-20", "burst-1")

PeerProcess = Callable[[str], AbstractContextManager[Process]]
"""Starts a peer before the upstream at this address."""


def _completion(model: str, stream: bool) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi."}], "stream": stream}


def _chat(model: str, stream: bool) -> dict[str, Any]:
    assert stream
    return {"model": model, "message": "Hi."}


COMPLETIONS = ("/v1/chat/completions", _completion)
CHAT = ("/api/v1/chat", _chat)


@dataclass(frozen=True)
class Contestant:
    """One door of one process. ``share``: what part of the load it gets, if it is slow.

    ``whole``: whether it answers requests that are not streamed, and is asked to. ``side``: ours,
    a peer's, or what both are held against.
    """

    name: str
    process: Process
    path: str = COMPLETIONS[0]
    body: Callable[[str, bool], dict[str, Any]] = _completion
    share: float = 1.0
    whole: bool = True
    side: Literal["ours", "peer", "measure"] = "measure"

    def job(self, model: str, requests: int, concurrency: int, *, stream: bool = True) -> Job:
        workload = Workload.of(model)
        assert workload is not None
        count = max(1, round(requests * self.share))
        url = self.process.url + self.path
        return Job(url, self.body(model, stream), workload.tokens, count, concurrency)


@dataclass(frozen=True)
class Stage:
    """Everything that runs during a measurement."""

    client: LoadClient
    upstream: Process
    contestants: list[Contestant] = field(default_factory=list)

    def cpu_s(self, contestant: Contestant, job: Job) -> tuple[float, Outcome]:
        """The CPU seconds that this job cost the contestant's process."""
        before = contestant.process.cpu_s()
        outcome = self.client.run(job)
        return contestant.process.cpu_s() - before, outcome


@contextlib.contextmanager
def nova(
    upstream: str, *, embedded: str = "off", settings: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Our server as its users start it, with one engine and folders of its own."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "nova"), "serve", "--port", str(port)]
    with tempfile.TemporaryDirectory(prefix="nova-perf-") as folder:
        environment = {
            "HOME": folder,
            "NOVA_CONFIG_DIR": f"{folder}/config",
            "NOVA_DATA_DIR": f"{folder}/data",
            "NOVA_EMBEDDED": embedded,
            "NOVA_OLLAMA_URL": "off",
            "NOVA_OPENAI_URL": upstream,
            **(settings or {}),
        }
        command += ["--log-level", "warning"]
        with process(NOVA, command, port, environment) as running:
            yield running


@contextlib.contextmanager
def upstream_process() -> Iterator[Process]:
    port = free_port()
    listed = [part for model in MODELS for part in ("--model", model)]
    command = [sys.executable, "-m", "tools.perf.upstream", "--port", str(port), *listed]
    with process("upstream", command, port) as running:
        running.wait_for("/v1/models")
        yield running


@contextlib.contextmanager
def stage(peer: PeerProcess | None = None) -> Iterator[Stage]:
    """Start everyone, wait until they answer, and end them afterwards."""
    with contextlib.ExitStack() as running:
        client = running.enter_context(load_client())
        upstream = running.enter_context(upstream_process())
        address = f"{upstream.url}/v1"
        port = free_port()
        command = [sys.executable, "-m", "tools.perf.relay", "--port", str(port)]
        command += ["--upstream", address]
        relay = running.enter_context(process("relay", command, port))
        relay.wait_for("/docs")
        server = running.enter_context(nova(address))
        server.wait_for("/ready")
        contestants = [
            Contestant(RAW, upstream),
            Contestant(RELAY, relay),
            Contestant("relay, raw reads", relay, "/raw/v1/chat/completions", whole=False),
            Contestant("nova /v1/chat/completions", server, side="ours"),
            Contestant("nova /api/v1/chat", server, *CHAT, whole=False, side="ours"),
        ]
        if peer is not None:
            other = running.enter_context(peer(address))
            contestants.append(Contestant(other.name, other, share=1 / 16, side="peer"))
        yield Stage(client, upstream, contestants)
