"""An authority of a test's own, and a certificate that it made out to 127.0.0.1."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Authority", "authority", "find_openssl"]

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Authority:
    """``path``: its own certificate, for who is to trust it. ``server``: what a server shows."""

    path: Path
    server: ssl.SSLContext


def find_openssl() -> str | None:
    return shutil.which("openssl")


def authority(folder: Path) -> Authority:
    """Made by ``openssl`` in ``folder``, which is created; valid for a day."""
    folder.mkdir()
    name = folder.name
    _openssl(
        folder,
        "req",
        "-x509",
        *_KEY,
        "-days",
        "1",
        "-subj",
        f"/CN={name}",
        "-keyout",
        "authority.key",
        "-out",
        "authority.pem",
    )
    _openssl(
        folder,
        "req",
        "-new",
        *_KEY,
        "-subj",
        "/CN=engine",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    )
    (folder / "server.ext").write_text(
        "subjectAltName=IP:127.0.0.1\n"
        "basicConstraints=critical,CA:FALSE\n"
        "authorityKeyIdentifier=keyid\n"
    )
    _openssl(
        folder,
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-days",
        "1",
        "-extfile",
        "server.ext",
        "-CA",
        "authority.pem",
        "-CAkey",
        "authority.key",
        "-CAcreateserial",
        "-out",
        "server.pem",
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    return Authority(folder / "authority.pem", server)


def _openssl(folder: Path, *arguments: str) -> None:
    program = find_openssl()
    assert program is not None, "no openssl is installed"
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
