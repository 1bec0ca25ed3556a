"""llama.cpp's own server, in this process, on a free loopback port."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import xllamacpp

START_LIMIT_S = 60.0
WINDOW_TOKENS = 1024


@contextlib.contextmanager
def serve(model: Path, slots: int) -> Iterator[str]:
    """Yields the base URL (with /v1) of a server for the GGUF file `model`.

    One thread: for so small a model a second one mostly waits, and where other programs use the
    cores, both wait for each other at every layer.
    """
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = WINDOW_TOKENS * slots
    params.use_jinja = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    base_url = f"{server.listening_address}/v1"
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{base_url}/models", timeout=2.0).status_code == httpx.codes.OK:
                break
        time.sleep(0.1)
    else:
        raise TimeoutError(f"no server for {model} at {base_url} within {START_LIMIT_S:.0f} s")
    yield base_url
    del server
