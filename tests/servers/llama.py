"""llama.cpp's own OpenAI-compatible server as a plain process, on a port that the system picks.

Run as a program it is that server; as a module it starts one. Nothing of ours is in between: no
key, no Unix socket, and its slots can be looked at.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["LlamaServer", "llama_server"]

_STOP_S = 10.0


@dataclass(frozen=True)
class LlamaServer:
    url: str
    pid: int
    model: str
    log_path: Path


@contextmanager
def llama_server(folder: Path, *, gguf: Path, model: str = "nova-tiny") -> Iterator[LlamaServer]:
    """A server of one model with two slots; ended by closing its standard input."""
    log_path = folder / "llama.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, str(gguf), model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={k: v for k, v in os.environ.items() if not k.startswith("NOVA_")},
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"llama.cpp did not start:\n{log_path.read_text(errors='replace')}")
        yield LlamaServer(json.loads(line)["url"], process.pid, model, log_path)
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def main() -> None:
    import xllamacpp

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    params: Any = xllamacpp.CommonParams()
    params.model.path, params.model_alias = sys.argv[1], {sys.argv[2]}
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_parallel, params.n_ctx = 2, 2048
    params.n_ubatch = params.n_batch = 1024
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    params.endpoint_slots = True
    params.ui = False
    params.offline = True
    server = xllamacpp.Server(params)
    answers.write(json.dumps({"url": server.listening_address}) + "\n")
    answers.flush()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threading.Event().wait()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
