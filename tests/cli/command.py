"""Runs ``nova`` as its users do: as a process, in a pipe or on a terminal."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.nova import isolated_environment

__all__ = ["Command", "Terminal"]

_LIMIT_S = 60.0
# Gives the process its terminal, so that Ctrl-C typed there becomes a signal.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; "
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Terminal:
    """What a person sees on a terminal, and can type there."""

    process: "subprocess.Popen[bytes]"
    descriptor: int
    seen: str = ""
    _read_to: int = 0

    def shows(self, text: str, within_s: float = _LIMIT_S) -> str:
        """Wait until ``text`` appears after what was waited for last; what came before it."""
        until = time.monotonic() + within_s
        while (found := self.seen.find(text, self._read_to)) < 0:
            if not self._read(until - time.monotonic()):
                msg = f"{text!r} was not shown; after position {self._read_to}: {self.seen!r}"
                raise AssertionError(msg)
        before = self.seen[self._read_to : found]
        self._read_to = found + len(text)
        return before

    def type(self, text: str) -> None:
        """Type it, as fast as a person could: what is shown was written before it is waited on,
        and a signal that comes in between is noticed by Python's readline at the next key only."""
        time.sleep(0.2)
        os.write(self.descriptor, text.encode())

    def exit_code(self, within_s: float = _LIMIT_S) -> int:
        """Wait for the end, and read what was still to be shown."""
        until = time.monotonic() + within_s
        while self._read(until - time.monotonic()):
            pass
        return self.process.wait(max(0.1, until - time.monotonic()))

    @property
    def plain(self) -> str:
        """All that was shown, without colours and the movements of the cursor."""
        return _ESCAPES.sub("", self.seen)

    def _read(self, within_s: float) -> bool:
        if not select.select([self.descriptor], [], [], max(0.0, within_s))[0]:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # Linux's way to say that nobody is left at the other end.
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)


@dataclass(frozen=True)
class Command:
    """``nova`` with an environment of its own; all its folders lie below ``folder``."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def having(self, **more: str) -> "Command":
        return Command(self.folder, {**self.environment, **more})

    def run(
        self, *arguments: str, stdin: str | bytes = b"", code: int = 0
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to its end, which must come with this code."""
        done = subprocess.run(
            self._argv(*arguments),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env=self._variables(),
            cwd=self.folder,
            timeout=_LIMIT_S,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == code, f"ended with {done.returncode}; {out!r}; {err}"
        return subprocess.CompletedProcess(done.args, code, out, err)

    @contextmanager
    def start(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Start it in pipes; it is killed where it does not end with the context."""
        process = subprocess.Popen(
            self._argv(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._variables(),
            cwd=self.folder,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def terminal(self, *arguments: str, into: Path | None = None) -> Iterator[Terminal]:
        """Start it on a terminal of its own; standard output may go ``into`` a file instead."""
        ours, its = pty.openpty()
        output = its if into is None else os.open(into, os.O_CREAT | os.O_WRONLY)
        process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *self._argv(*arguments)],
            stdin=its,
            stdout=output,
            stderr=its,
            env={**self._variables(), "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
            cwd=self.folder,
            start_new_session=True,
        )
        for descriptor in {its, output}:
            os.close(descriptor)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            process.wait()
            os.close(ours)

    def _argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "novasystem", *arguments]

    def _variables(self) -> dict[str, str]:
        return isolated_environment(self.folder, {"NO_PROXY": "*", **self.environment})
