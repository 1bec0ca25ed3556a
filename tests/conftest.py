"""What every test may use: our own server, a scripted one, a real Ollama and PostgreSQL."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from novasystem.engines.embedded import nova_tiny_path
from tests.servers.certificates import Authority, authority, find_openssl
from tests.servers.nova import NovaServer, nova_server
from tests.servers.ollama import OllamaServer, find_ollama, ollama_server
from tests.servers.postgres import PostgresServer, find_postgres, postgres_server
from tests.servers.scripted import ScriptedServer, scripted_server

IN_CI = bool(os.environ.get("CI"))
_skipped: list[str] = []


def pytest_configure() -> None:
    """A shell starts what it puts into the background with Ctrl-C ignored, and so would we."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A machine of a user's may lack something; CI may not: there a skip is a failure."""
    if IN_CI and _skipped and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if IN_CI and _skipped:
        terminalreporter.write_line(f"Skipped, which CI may not: {', '.join(_skipped)}", red=True)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def private(tmp_path: Path) -> Authority:
    """An authority that no machine knows."""
    if find_openssl() is None:
        pytest.skip("no openssl is installed: apt-get install openssl")
    return authority(tmp_path / "private")


@pytest.fixture(scope="session")
def weights() -> Path:
    return nova_tiny_path()


@pytest.fixture(scope="session")
def nova(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NovaServer]:
    """A server with the embedded model alone, shared by tests that leave it as it was."""
    with nova_server(tmp_path_factory.mktemp("nova")) as server:
        yield server


@pytest.fixture(scope="session")
def ollama(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[OllamaServer]:
    """A real Ollama with nova-tiny imported into it."""
    if find_ollama() is None:
        pytest.skip("no Ollama was built: run `make ollama`, which needs Go and a C++ compiler")
    with ollama_server(tmp_path_factory.mktemp("ollama"), gguf=weights) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL, shared: each test module makes itself databases of its own."""
    if find_postgres() is None:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql")
    with postgres_server() as server:
        yield server
