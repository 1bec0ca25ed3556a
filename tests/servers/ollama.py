"""A real Ollama server for the tests, in a folder of its own, on a free loopback port.

`make ollama` builds the binary. Nothing of the machine's own Ollama is read or written: models,
keys and settings lie below the folder that the caller gives.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

VERSION = "0.24.0"
MODELFILE = Path(__file__).parents[2] / "tools" / "ollama" / "Modelfile"
START_TIMEOUT_S = 30.0
CREATE_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0
LOG_TAIL_LINES = 40


@dataclass(frozen=True)
class OllamaServer:
    """A running server that holds `model`."""

    base_url: str
    pid: int
    model: str
    log_path: Path


class OllamaServerError(RuntimeError):
    """The server did not start, or refused a model; the message ends with its log."""


def find_ollama() -> Path | None:
    """The binary that NOVA_OLLAMA_BIN names, else the one that `make ollama` built, else None.

    A NOVA_OLLAMA_BIN that names nothing raises: a typing error must not skip tests in silence.
    """
    if named := os.environ.get("NOVA_OLLAMA_BIN"):
        binary = Path(named)
        if not binary.is_file():
            raise FileNotFoundError(f"NOVA_OLLAMA_BIN names no file: {binary}")
        return binary
    built = _cache_root() / f"ollama-{VERSION}" / "bin" / "ollama"
    return built if built.is_file() else None


@contextmanager
def ollama_server(
    folder: Path, *, gguf: Path, model: str = "nova-tiny", extra_models: Sequence[str] = ()
) -> Iterator[OllamaServer]:
    """Starts a server, gives it `gguf` under every name, and ends it with all its children.

    The extra models are the same weights under other names. Raises `OllamaServerError` with the
    end of the server's log when it dies at start, does not answer in time or refuses the model.
    """
    binary = find_ollama()
    if binary is None:
        raise OllamaServerError(
            "there is no ollama binary: run `make ollama`, or set NOVA_OLLAMA_BIN"
        )
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder / "ollama.log"
    port = _free_port()
    environment = _environment(folder, port)
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [binary, "serve"],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # one process group: the server and its model runners
        )
    try:
        _wait_until_ready(process, port, log_path)
        _create_model(binary, environment, folder, gguf, model, log_path)
        for name in extra_models:
            _copy_model(port, model, name, log_path)
        yield OllamaServer(
            base_url=f"http://127.0.0.1:{port}", pid=process.pid, model=model, log_path=log_path
        )
    finally:
        _end(process)


def _cache_root() -> Path:
    """The same folder that tools/ollama/build.sh chooses."""
    if chosen := os.environ.get("NOVA_CACHE_DIR"):
        return Path(chosen)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "novasystem"
    return Path.home() / ".cache" / "novasystem"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(folder: Path, port: int) -> dict[str, str]:
    """Only what is named here: no proxy, GPU choice or OLLAMA_ setting of the machine leaks in."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_NO_CLOUD": "1",  # otherwise it fetches a list of models from its maker's site
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NOHISTORY": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if (code := process.poll()) is not None:
            raise OllamaServerError(f"ollama ended with code {code} at start\n{_tail(log_path)}")
        try:
            status, _ = _request(port, "GET", "/api/version", timeout_s=1.0)
        except (OSError, http.client.HTTPException):
            status = 0
        if status == http.HTTPStatus.OK:
            return
        time.sleep(0.02)
    raise OllamaServerError(
        f"ollama did not answer within {START_TIMEOUT_S:.0f} s\n{_tail(log_path)}"
    )


def _create_model(
    binary: Path, environment: dict[str, str], folder: Path, gguf: Path, model: str, log_path: Path
) -> None:
    """Imports through Ollama's command line: it alone knows how to read a Modelfile."""
    text, replaced = re.subn(
        r"^FROM .*$",
        lambda _: f"FROM {gguf.resolve()}",
        MODELFILE.read_text(encoding="utf-8"),
        count=1,
        flags=re.MULTILINE,
    )
    if not replaced:
        raise OllamaServerError(f"{MODELFILE} has no FROM line")
    modelfile = folder / "Modelfile"
    modelfile.write_text(text, encoding="utf-8")
    try:
        created = subprocess.run(
            [binary, "create", model, "-f", modelfile],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CREATE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OllamaServerError(
            f"ollama create took more than {CREATE_TIMEOUT_S:.0f} s\n{_tail(log_path)}"
        ) from error
    if created.returncode != 0:
        reason = created.stderr.strip().rpartition("\n")[2]  # what precedes it draws a progress bar
        raise OllamaServerError(
            f"ollama create {model} from {gguf} failed: {reason}\n{_tail(log_path)}"
        )


def _copy_model(port: int, source: str, destination: str, log_path: Path) -> None:
    body = {"source": source, "destination": destination}
    status, answer = _request(port, "POST", "/api/copy", body)
    if status != http.HTTPStatus.OK:
        raise OllamaServerError(
            f"ollama copied {source} to {destination} with status {status}: {answer}\n"
            f"{_tail(log_path)}"
        )


def _request(
    port: int, method: str, path: str, body: object = None, *, timeout_s: float = 30.0
) -> tuple[int, str]:
    # http.client and not urllib: it ignores the machine's proxy settings.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole group, also when the server itself is gone and has left its runners behind."""
    _signal_group(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    # Which of the two a group without living members raises depends on the system.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _tail(log_path: Path) -> str:
    lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])
