"""Server processes that are killed and started again, several times a second."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.crash.faults import Fault
from tests.servers.nova import isolated_environment

__all__ = ["Crashing", "crashing"]

_ROOT = Path(__file__).parents[2]


class Crashing:
    """One place to serve at, and one server at a time on the same data.

    ``kills`` counts how often one was killed from here.
    """

    def __init__(
        self,
        zygote: "subprocess.Popen[str]",
        listener: socket.socket,
        environment: Mapping[str, str],
        log_path: Path,
    ) -> None:
        self.port: int = listener.getsockname()[1]
        self.environment = dict(environment)
        self.log_path = log_path
        self.kills = 0
        self._zygote = zygote
        self._listener = listener
        self._pid: int | None = None

    def start(self, fault: Fault | None = None, program: str = "serve", **more: Any) -> None:
        """It may take a moment until it answers; whoever asks meanwhile waits."""
        assert self._pid is None
        answer = self._tell(
            do="start",
            program=program,
            environment=self.environment,
            fault=None if fault is None else asdict(fault),
            **more,
        )
        self._pid = answer["pid"]

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        assert self._pid is not None
        self._tell(do="kill", pid=self._pid)
        self._pid = None
        self.kills += 1

    def wait_for_death(self) -> int:
        """The wait status of a server that ends by itself."""
        assert self._pid is not None
        status: int = self._tell(do="wait", pid=self._pid)["status"]
        self._pid = None
        return status

    def strike(self) -> None:
        """SIGKILL to a server that another waits for the death of."""
        assert self._pid is not None
        os.kill(self._pid, signal.SIGKILL)

    @property
    def said(self) -> str:
        """The end of what the servers have logged."""
        return self.log_path.read_text(errors="replace")[-3000:]

    @property
    def is_started(self) -> bool:
        return self._pid is not None

    def _tell(self, **command: Any) -> dict[str, Any]:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(command) + "\n")
        self._zygote.stdin.flush()
        line = self._zygote.stdout.readline()
        assert line, self.said
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def crashing(folder: Path, environment: Mapping[str, str]) -> Iterator[Crashing]:
    """No server is started yet; the last one is killed at the end."""
    log_path = folder / "servers.log"
    with (
        socket.create_server(("127.0.0.1", 0), backlog=2048) as listener,
        log_path.open("w") as log,
    ):
        zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=_ROOT,
        )
        servers = Crashing(zygote, listener, isolated_environment(folder, environment), log_path)
        try:
            yield servers
        finally:
            if servers.is_started:
                servers.kill()
            assert zygote.stdin is not None
            zygote.stdin.close()
            zygote.wait(30)
            assert zygote.stdout is not None
            zygote.stdout.close()
