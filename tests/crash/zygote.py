"""Starts servers without the time that imports take: ``python -m tests.crash.zygote FD``.

It has imported all that a server needs, and forks at a word: each line of its input is one command
in JSON, answered by one line. ``FD`` is the listening socket that every server serves on; because
it stays open between two servers, clients wait where otherwise they would be refused. Killed
children are waited for, so that none of them is left as a zombie that looks alive.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

import alembic.command
import psycopg
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.dialects.sqlite
import uvicorn.lifespan.on
import uvicorn.loops.uvloop
import uvicorn.protocols.http.httptools_impl

from novasystem.http import protocol
from tests.crash.programs import PROGRAMS

_PRELOADED = (alembic.command, psycopg, protocol, sqlalchemy.dialects, uvicorn.protocols)


def main(listener: socket.socket) -> None:
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "start":
            answer: dict[str, Any] = {"pid": _start(listener, command)}
        elif command["do"] == "kill":
            answer = {"status": _kill(command["pid"])}
        else:
            answer = {"status": os.waitpid(command["pid"], 0)[1]}
        print(json.dumps(answer), flush=True)  # noqa: T201  (the answer)


def _kill(pid: int) -> int:
    # A child that was not waited for keeps its number: no other process can have it.
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _start(listener: socket.socket, command: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(2, 1)
        code = PROGRAMS[command["program"]](listener, command)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
