"""What happens to the data happens under a running server: it says so, and goes on afterwards."""

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any
from uuid import uuid4

import pytest

from tests.http.doors import Door, open_door
from tests.http.figures import State, state
from tests.http.wire import Answer, ask, eventually
from tests.servers.answers import openai_stream
from tests.servers.postgres import PostgresServer, postgres_server

__all__ = ["state"]

CHAT = "/api/v1/chat"


@dataclass
class Talker:
    """Says things, and keeps what was acknowledged."""

    door: Door
    kept: dict[str, list[str]] = field(default_factory=dict)
    refused: list[Answer] = field(default_factory=list)

    def says(self, conversation: str, text: str) -> Answer:
        body = {"message": text, "conversation_id": conversation}
        answer = ask(self.door.port, "POST", CHAT, body, timeout_s=90)
        if answer.status == 200 and "event: done" in answer.text:
            self.kept.setdefault(conversation, []).append(text)
        else:
            self.refused.append(answer)
        return answer

    def talks(self, turns: int = 3) -> None:
        """Turns that must succeed."""
        conversation = str(uuid4())
        for number in range(turns):
            answer = self.says(conversation, f"{conversation} {number}")
            assert answer.status == 200, answer.text
            assert "event: done" in answer.text, answer.text

    def is_refused(self, status: int, *says: str) -> None:
        """A new turn gets this status in the chat door's envelope, and a sentence."""
        answer = self.says(str(uuid4()), "x" * 9000)
        assert answer.status == status, answer.text
        assert answer.json["code"] == "processing_error"
        for part in says:
            assert part in answer.json["message"]

    def reads(self) -> None:
        """Every conversation can still be read."""
        for conversation in self.kept:
            answer = ask(self.door.port, "GET", f"{CHAT}/{conversation}/events")
            assert answer.status == 200, answer.text
            assert "event: done" in answer.text

    def recovers(self) -> None:
        """It works again, by itself."""
        conversation = str(uuid4())
        eventually(lambda: "event: done" in self.says(conversation, "again").text, 60)
        self.talks()
        self.reads()

    def lost(self, rows: list[tuple[Any, ...]]) -> list[str]:
        """What was acknowledged and is not there."""
        there = {text for (text,) in rows}
        said = [text for texts in self.kept.values() for text in texts]
        return [text for text in said if f'"{text}"' not in there and text not in there]


# A status can be sent as long as nothing else was.
PATIENT = {"NOVA_HEARTBEAT_S": "60"}
SAID = "SELECT content FROM items WHERE role = 'user'"
ENDED = "SELECT count(*) FROM runs WHERE status IN ('queued', 'in_progress', 'cancelling')"


@contextmanager
def talking(folder: Path, data: Path) -> Iterator[tuple[Talker, Path]]:
    """A server on SQLite with a few turns behind it; afterwards the file is looked through."""
    with open_door(folder, {"NOVA_DATA_DIR": str(data), **PATIENT}) as door:
        door.answers(openai_stream(["said"]))
        talker = Talker(door)
        talker.talks()
        yield talker, data / "nova.db"
        # Refusals leave no turn behind that would never end.
        eventually(lambda: _query(data / "nova.db", ENDED) == [(0,)], 30)
    assert "Traceback" not in door.server.log_path.read_text(errors="replace")


def _query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        return database.execute(statement).fetchall()


def verdict(talker: Talker, path: Path, state: State, injected: str) -> None:
    found = _query(path, "PRAGMA integrity_check")
    broken = 0 if found == [("ok",)] else len(found)
    lost = talker.lost(_query(path, SAID))
    said = sum(map(len, talker.kept.values()))
    state(
        f"{injected}: survived, {len(talker.refused)} turns refused, {said} acknowledged, "
        f"{len(lost)} lost, corruption {broken}"
    )
    assert (lost, broken) == ([], 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes; only the system's owner can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("only root can make a small disk; the limit on a file's size is tried anyway")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(small_disk: Path, tmp_path: Path, state: State) -> None:
    with talking(tmp_path, small_disk / "data") as (talker, path):
        for _ in range(3):
            ballast = small_disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
            # What the write-ahead log has room for is still taken.
            eventually(lambda: talker.says(str(uuid4()), "x" * 9000).status == 507, 60)
            talker.is_refused(507, "no room left", "Make room")
            talker.reads()
            ballast.unlink()
            talker.recovers()
        verdict(talker, path, state, "disk full, 3 of 3")


def test_a_file_that_may_not_grow(tmp_path: Path, state: State) -> None:
    """As with a quota: the system refuses to write beyond a size."""
    with talking(tmp_path, tmp_path / "data") as (talker, path):
        process = talker.door.server.process.pid
        _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
        for _ in range(3):
            size = max(file.stat().st_size for file in path.parent.iterdir() if file.is_file())
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size + 4096, hard))
            eventually(lambda: talker.says(str(uuid4()), "x" * 9000).status in {503, 507}, 60)
            talker.is_refused(talker.refused[-1].status)
            talker.reads()
            resource.prlimit(process, resource.RLIMIT_FSIZE, (hard, hard))
            talker.recovers()
        verdict(talker, path, state, "file size limit, 3 of 3")


def test_a_database_that_another_process_holds(tmp_path: Path, state: State) -> None:
    """For longer than the ten seconds that are waited."""
    with talking(tmp_path, tmp_path / "data") as (talker, path):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            talker.is_refused(503, "locked")
            talker.reads()
            holder.execute("ROLLBACK")
        talker.recovers()
        verdict(talker, path, state, "locked for 10 s, 1 of 1")


def test_a_lock_that_is_held_briefly_is_waited_for(tmp_path: Path) -> None:
    with talking(tmp_path, tmp_path / "data") as (talker, path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        with contextlib.closing(connection) as holder:
            holder.execute("BEGIN IMMEDIATE")
            release = Timer(2, holder.execute, ("ROLLBACK",))
            release.start()
            talker.talks()
            release.join()


def test_a_server_that_is_killed_is_followed_by_another_at_once(
    tmp_path: Path, state: State
) -> None:
    data = tmp_path / "data"
    kept: dict[str, list[str]] = {}
    for round_ in range(3):
        folder = tmp_path / str(round_)
        folder.mkdir()
        with open_door(folder, {"NOVA_DATA_DIR": str(data)}) as door:
            door.answers(openai_stream(["said"]))
            talker = Talker(door, kept)
            talker.talks()
            talker.reads()
            door.server.process.send_signal(signal.SIGKILL)
            door.server.process.wait(30)
    verdict(talker, data / "nova.db", state, "kill -9 and an immediate start, 3 of 3")


@dataclass
class Cluster:
    """A PostgreSQL that can be stopped and started again, on the same port and data."""

    server: PostgresServer
    process: "subprocess.Popen[bytes]"

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(how)
        self.process.wait(60)

    def start(self) -> None:
        owner = (self.server.folder / "data").stat().st_uid
        self.process = subprocess.Popen(
            self.server.process.args,
            user=owner if os.geteuid() == 0 else None,
            cwd=self.server.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        eventually(self._answers, 60)

    def _answers(self) -> bool:
        try:
            return self.server.execute("SELECT 1") == [(1,)]
        except Exception:
            return False


@pytest.fixture
def cluster(postgres: PostgresServer) -> Iterator[Cluster]:
    """One of its own; ``postgres`` is asked for so that a machine without one is skipped."""
    with postgres_server() as server:
        cluster = Cluster(server, server.process)
        try:
            yield cluster
        finally:
            if cluster.process is not server.process and cluster.process.poll() is None:
                cluster.stop()


def test_a_postgresql_that_goes_away_and_comes_back(
    cluster: Cluster, tmp_path: Path, state: State
) -> None:
    address = cluster.server.new_database("faults")
    with open_door(tmp_path, {"NOVA_DATABASE_URL": address, **PATIENT}) as door:
        door.answers(openai_stream(["said"]))
        talker = Talker(door)
        talker.talks()
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGINT):
            cluster.stop(how)
            talker.is_refused(503, "cannot be used now")
            assert ask(door.port, "GET", "/health").status == 200
            cluster.start()
            talker.recovers()
        cluster.server.execute("ALTER DATABASE faults SET default_transaction_read_only = on")
        cluster.server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'faults'"
        )
        eventually(lambda: talker.says(str(uuid4()), "x").status == 503, 30)
        talker.is_refused(503, "read-only")
        talker.reads()
        cluster.server.execute("ALTER DATABASE faults RESET default_transaction_read_only")
        cluster.server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'faults'"
        )
        talker.recovers()
        eventually(lambda: cluster.server.execute(ENDED, "faults") == [(0,)], 60)
        lost = talker.lost(cluster.server.execute(SAID, "faults"))
        said = sum(map(len, talker.kept.values()))
        state(
            f"PostgreSQL stopped 3 of 3, read-only 1 of 1: survived, {len(talker.refused)} turns "
            f"refused, {said} acknowledged, {len(lost)} lost"
        )
        assert lost == []
    assert "Traceback" not in door.server.log_path.read_text(errors="replace")
