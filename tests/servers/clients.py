"""The official ``openai`` client in several versions, each in an environment of its own.

The environments lie in a cache outside this folder, and are made at their first use from pinned
versions whose hashes are checked.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["VERSIONS", "NoClient", "client_python"]

VERSIONS = ("3.52.0", "2.54.0", "1.109.1")
_ROOT = Path(__file__).parents[2]
_LIMIT_S = 160


class NoClient(Exception):
    """It could not be installed, most likely for want of a package registry."""


def client_python(version: str) -> Path:
    """The interpreter of an environment that has this version. Raises ``NoClient``."""
    pins = _ROOT / "requirements" / f"openai-{version}.txt"
    folder = _cache() / f"openai-{version}"
    python = folder / "bin" / "python"
    wanted = f"{sys.version_info[:2]} {hashlib.sha256(pins.read_bytes()).hexdigest()}"
    ready = folder / "ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Two test runs at once must not install into the same place.
    with (folder.parent / f"openai-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)], version)
            install = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
            install += ["--retries", "2", "--require-hashes", "-r", str(pins)]
            _run([str(python), *install], version)
            ready.write_text(wanted)
    return python


def _cache() -> Path:
    if given := os.environ.get("NOVA_CACHE_DIR"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "novasystem"


def _run(command: list[str], version: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise NoClient(f"openai {version} was not installed within {_LIMIT_S} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines() or ["no word"]
        raise NoClient(f"openai {version} could not be installed: {said[-1]}") from None
