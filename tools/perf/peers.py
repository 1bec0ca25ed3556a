"""Peers that others use for the same job, each installed into an environment of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tools.perf.processes import Process, free_port, process

__all__ = ["installed", "litellm", "peers_folder"]

LITELLM = "litellm[proxy]==1.106.2"
"""The release that the limits were compared with."""

_SETTINGS = """\
model_list:
  - model_name: "*"
    litellm_params:
      model: "openai/*"
      api_base: {upstream}
      api_key: none
"""


def peers_folder() -> Path:
    """Where peers are installed, for all checkouts."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "novasystem" / "peers"


def installed(console: Console) -> Path:
    """The folder of LiteLLM's commands; the first time, installs about a gigabyte."""
    folder = peers_folder() / LITELLM.replace("[proxy]==", "-")
    done = folder / "installed"
    if not done.exists():
        console.print(f"Installing {LITELLM} …", markup=False)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", LITELLM]
        subprocess.run(pip, check=True)
        done.touch()
    return folder / "bin"


@contextlib.contextmanager
def litellm(commands: Path, upstream: str) -> Iterator[Process]:
    """Its proxy as its manual starts it, with one worker and any model's name passed on."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="nova-perf-") as folder:
        settings = Path(folder) / "litellm.yaml"
        settings.write_text(_SETTINGS.format(upstream=upstream))
        command = [str(commands / "litellm"), "--config", str(settings), "--port", str(port)]
        command += ["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]
        environment = {
            "HOME": folder,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it checks no keys then
        }
        with process("LiteLLM", command, port, environment) as running:
            running.wait_for("/health/liveliness", timeout_s=120)
            yield running
