"""What can be looked at without asking an engine: machine, files, settings, port."""

import difflib
import errno
import os
import platform
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from novasystem.addresses import check_address
from novasystem.cli.text import human_size
from novasystem.errors import ConfigurationError, NovaError
from novasystem.settings import Settings, config_file

__all__ = ["Check", "of_settings", "problem", "settings_files", "surroundings"]


@dataclass(frozen=True, slots=True)
class Check:
    """``note``: worth knowing, nothing to do. ``warning``: works, but perhaps not as meant."""

    name: str
    status: Literal["ok", "note", "warning", "problem"]
    detail: str
    hint: str = ""


def problem(name: str, error: NovaError) -> Check:
    return Check(name, "problem", error.message, error.hint)


def surroundings() -> Iterator[Check]:
    yield Check(
        "NovaSystem", "ok", version_of("novasystem") or "run from its source, not installed"
    )
    where = f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield Check("Python", "ok", f"{platform.python_version()} on {where}")
    yield Check("machine", "ok", f"{_cores()} CPU cores, {_memory()}")


def version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cores() -> int:
    """Those that this process may use: fewer than there are, in many containers."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> str:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        total, free = sizes["MemTotal"], sizes["MemAvailable"]
        return f"{human_size(total)} of memory, {human_size(free)} available"
    except (OSError, KeyError, IndexError, ValueError):
        pass
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return "memory unknown"
    return f"{human_size(total)} of memory"


def settings_files(config: Path | None, environment: Mapping[str, str]) -> Iterator[Check]:
    own = config_file(environment)
    if own.exists():
        yield Check("settings file", "ok", str(own))
    else:
        yield Check("settings file", "note", f"none at {own}: the defaults hold")
    if config is None and environment.get("NOVA_CONFIG"):
        config = Path(environment["NOVA_CONFIG"])
    if config is not None and config.exists():
        yield Check("settings file", "ok", str(config))


def of_settings(settings: Settings) -> Iterator[Check]:
    for variable in settings.unknown_variables:
        names = [f"NOVA_{name.upper()}" for name in Settings.model_fields]
        near = difflib.get_close_matches(variable, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else "docs/reference/settings.md lists them."
        yield Check("environment", "warning", f"{variable} means nothing", hint)
    yield _data_folder(settings.data_dir)
    yield _address(settings)
    yield _port(settings.host, settings.port)


def _data_folder(folder: Path) -> Check:
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    try:
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        # Trying is the only sure way: permissions say nothing about read-only mounts.
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        detail = f"{folder} cannot be written: {error.strerror} ({nearest})"
        return Check("data folder", "problem", detail, "Set NOVA_DATA_DIR to a folder of yours.")
    made = "" if nearest == folder else ", made on first use"
    return Check("data folder", "ok", f"{folder}{made}")


def _address(settings: Settings) -> Check:
    try:
        check_address(settings)
    except ConfigurationError as error:
        return problem("address", error)
    keys = len(settings.api_keys)
    said = f"{keys} API key{'s' if keys > 1 else ''} set" if keys else "this machine only, no key"
    return Check("address", "ok", f"{settings.host}: {said}")


def _port(host: str, port: int) -> Check:
    if port == 0:
        return Check("port", "ok", "any that is free")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Check(
                "port",
                "warning",
                f"{port} on {host} is in use",
                "Fine if that is 'nova serve'; else set another with --port or NOVA_PORT.",
            )
        detail = f"{port} on {host} cannot be listened on: {error.strerror}"
        return Check("port", "problem", detail, "Set another with NOVA_HOST and NOVA_PORT.")
    return Check("port", "ok", f"{port} on {host} is free")
