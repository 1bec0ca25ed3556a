"""Our own server as a process, on a port that the system picks, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["NovaServer", "isolated_environment", "nova_server"]

_START_S = 60.0
_STOP_S = 30.0


@dataclass(frozen=True)
class NovaServer:
    url: str
    port: int
    process: "subprocess.Popen[bytes]"
    log_path: Path

    @property
    def log(self) -> list[dict[str, Any]]:
        """The structured lines that it has logged so far."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, event: str, within_s: float = 20.0) -> dict[str, Any]:
        """The first line of that event, waited for within a bound."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            for line in self.log:
                if line.get("event") == event:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        msg = f"'{event}' was not logged; the log:\n{self.log_path.read_text(errors='replace')}"
        raise AssertionError(msg)


def isolated_environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment less every setting of ours, with all folders below ``folder``."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NOVA_") and k != "PORT"}
    environment |= {
        "NOVA_CONFIG_DIR": str(folder / "config"),
        "NOVA_DATA_DIR": str(folder / "data"),
        "NOVA_OLLAMA_URL": "off",
        "NOVA_LOG_FORMAT": "json",
        **(more or {}),
    }
    return environment


@contextmanager
def nova_server(
    folder: Path,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    *,
    wait_for: str = "ready",
) -> Iterator[NovaServer]:
    """``nova serve`` until it has logged ``wait_for``; ended by SIGTERM, or killed."""
    log_path = folder / "nova.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "novasystem", "serve", "--port", "0", *arguments],
            env=isolated_environment(folder, environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        server = NovaServer("", 0, process, log_path)
        url = str(server.logged("listening", _START_S)["url"])
        server = NovaServer(url, int(url.rpartition(":")[2]), process, log_path)
        server.logged(wait_for, _START_S)
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
