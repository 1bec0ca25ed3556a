"""``nova serve``: its flags reach the server, and it ends as it is told to."""

import signal
import urllib.request
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.servers.nova import nova_server

OFF = {"NOVA_EMBEDDED": "on"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(tmp_path: Path, how: signal.Signals) -> None:
    # The flags win over the environment.
    flags = ["--embedded", "off", "--host", "127.0.0.1", "--log-level", "info"]
    with nova_server(tmp_path, OFF, flags) as server:
        assert server.logged("ready")["models"] == []
        with urllib.request.urlopen(f"{server.url}/health", timeout=10) as answer:
            assert answer.status == 200
        server.process.send_signal(how)
        assert server.process.wait(20) in {0, 130, -how}
    assert "Traceback" not in server.log_path.read_text()


def test_an_open_address_without_a_key_is_refused(command: Command) -> None:
    done = command.run("serve", "--host", "0.0.0.0", "--port", "0", code=2)
    assert "NOVA_API_KEYS" in done.stderr


def test_a_port_that_is_none_is_a_usage_error(command: Command) -> None:
    assert "'--port'" in command.run("serve", "--port", "99999", code=2).stderr
