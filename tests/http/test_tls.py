"""An engine behind TLS: whose certificate is taken, and whose is not."""

from pathlib import Path

import pytest

from tests.http.doors import COMPLETIONS, open_door
from tests.http.wire import ask
from tests.servers.answers import openai_stream
from tests.servers.certificates import Authority, authority

ASKED = {"model": "scripted", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_an_engine_whose_authority_is_known_is_asked(
    private: Authority, tmp_path: Path, scheme: str
) -> None:
    known = {"SSL_CERT_FILE": str(private.path)}
    with open_door(tmp_path, known, scheme=scheme, tls=private.server) as door:
        door.answers(openai_stream(["Hel", "lo"]))
        answer = ask(door.port, "POST", COMPLETIONS, ASKED)
        assert answer.status == 200, answer.text
        assert answer.json["choices"][0]["message"]["content"] == "Hello"
        assert len(door.asked) == 1


def test_an_engine_whose_authority_is_unknown_is_told_nothing(
    private: Authority, tmp_path: Path
) -> None:
    known = {"SSL_CERT_FILE": str(authority(tmp_path / "other").path)}
    with open_door(tmp_path, known, tls=private.server) as door:
        answer = ask(door.port, "POST", COMPLETIONS, ASKED)
        assert answer.status == 503
        error = answer.json["error"]
        assert error["code"] == "engine_unavailable"
        assert f"{door.upstream.url} shows a certificate that is not trusted" in error["message"]
        assert "unable to get local issuer certificate" in error["message"]
        assert "SSL_CERT_FILE" in error["message"]
        assert door.upstream.seen == []
