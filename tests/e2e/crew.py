"""``nova serve --workers 2``: which process is which, and how to speak to one of them."""

import contextlib
import http.client
import json
import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.test_life import alive, children
from tests.http.doors import Door, open_door
from tests.http.wire import Answer, EventStream, eventually
from tests.servers.nova import NovaServer
from tests.servers.postgres import PostgresServer

__all__ = ["Crew", "Line", "open_crew"]


def program(pid: int) -> str:
    """The module that a process runs, by its arguments."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@dataclass(frozen=True)
class Line:
    """One connection, and so one worker, for as many requests as wanted."""

    pid: int
    connection: http.client.HTTPConnection

    def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> None:
        data = None if body is None else json.dumps(body)
        given = {"content-type": "application/json"} if data is not None else {}
        self.connection.request(method, path, data, {**given, **(headers or {})})

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        self.send(method, path, body, headers)
        response = self.connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())

    def stream(
        self, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> EventStream:
        self.send("GET" if body is None else "POST", path, body, headers)
        return EventStream(self.connection)


@dataclass(frozen=True)
class Crew:
    door: Door

    @property
    def server(self) -> NovaServer:
        return self.door.server

    @property
    def parent(self) -> int:
        return self.server.process.pid

    def of(self, module: str) -> list[int]:
        return [pid for pid in children(self.parent) if module in program(pid) and alive(pid)]

    @property
    def workers(self) -> list[int]:
        """Those that listen."""
        listening = {
            line["pid"] for line in self.server.log if line.get("event") == "a worker listens"
        }
        return [pid for pid in self.of("novasystem.serving.worker") if pid in listening]

    @property
    def llamas(self) -> list[int]:
        return self.of("novasystem.engines.llama_child")

    def two(self) -> tuple[int, int]:
        """Both workers, waited for."""
        first, second = eventually(lambda: self.workers if len(self.workers) == 2 else None, 60)
        return first, second

    def dial(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.connect()
        return connection

    def answered_by(self, connection: http.client.HTTPConnection) -> int:
        """Who answers on this connection, by the log's word."""
        request_id = f"who-{secrets.token_hex(8)}"
        connection.request("GET", "/v1/models", headers={"x-request-id": request_id})
        connection.getresponse().read()
        return eventually(lambda: self.writer_of(request_id))

    def writer_of(self, request_id: str) -> int | None:
        lines: list[dict[str, Any]] = self.server.log
        return next((ln["pid"] for ln in lines if ln.get("request_id") == request_id), None)

    @contextmanager
    def line(self, pid: int) -> Iterator[Line]:
        """A connection to one of the workers: the others are stopped while it is made."""
        others = [other for other in self.of("novasystem.serving.worker") if other != pid]
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            connection = self.dial()
            assert self.answered_by(connection) == pid
        finally:
            for other in others:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(other, signal.SIGCONT)
        with contextlib.closing(connection):
            yield Line(pid, connection)

    @contextmanager
    def lines(self) -> Iterator[tuple[Line, Line]]:
        """One to each of two workers."""
        first, second = self.two()
        with ExitStack() as open_:
            yield open_.enter_context(self.line(first)), open_.enter_context(self.line(second))


@contextmanager
def open_crew(
    folder: Path, postgres: PostgresServer, database: str, environment: Mapping[str, str]
) -> Iterator[Crew]:
    """Two workers on a database of their own, with nova-tiny and a scripted engine."""
    given = {
        "NOVA_DATABASE_URL": postgres.new_database(database),
        "NOVA_WORKERS": "2",
        "NOVA_EMBEDDED": "on",
        "NOVA_HEARTBEAT_S": "15",
        "NOVA_FIRST_TOKEN_TIMEOUT_S": "60",
        "NOVA_BETWEEN_TOKENS_TIMEOUT_S": "60",
        **environment,
    }
    try:
        with open_door(folder, given) as door:
            crew = Crew(door)
            crew.two()
            yield crew
    finally:
        postgres.drop_database(database)
