"""Runs ``nova`` as a process of its own that need not import everything anew.

A program that has imported it all waits, and forks for each command: what a command then does is
what it does anywhere, and most of what it takes to start one is saved.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.command import Command

__all__ = ["Preloaded", "Starter", "starter"]

_PROGRAM = """
import json, os, sys
from novasystem.cli.main import main
from novasystem.cli.benching import comparing, keeping, planning, running, showing
from rich import console, live, table

def carry_out(asked):
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(asked[name], os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
    sys.argv = ["nova", *asked["arguments"]]
    code = 99
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

with open(0, closefd=False) as orders, os.fdopen(os.dup(1), "w") as answers:
    print("ready", file=answers, flush=True)
    while line := orders.readline():
        child = os.fork()
        if not child:
            carry_out(json.loads(line))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(code, file=answers, flush=True)
"""


@dataclass(frozen=True)
class Starter:
    """The program that waits."""

    process: "subprocess.Popen[str]"

    def run(self, arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path) -> int:
        """The code that the command ended with; what it said is in the files ``out`` and ``err``
        of the folder ``said``."""
        said = folder / "said"
        said.mkdir(exist_ok=True)
        asked = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(folder),
            "out": str(said / "out"),
            "err": str(said / "err"),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def starter() -> Iterator[Starter]:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Starter(process)
        assert process.stdin is not None
        process.stdin.close()


@dataclass(frozen=True)
class Preloaded(Command):
    """A :class:`Command` of which :meth:`run` is quick; the others start processes as ever."""

    by: Starter | None = field(default=None)

    def having(self, **more: str) -> "Preloaded":
        return Preloaded(self.folder, {**self.environment, **more}, self.by)

    def run(
        self, *arguments: str, stdin: str | bytes = b"", code: int = 0
    ) -> "subprocess.CompletedProcess[str]":
        assert self.by is not None
        assert not stdin
        ended = self.by.run(arguments, self._variables(), self.folder)
        out, err = ((self.folder / "said" / name).read_text() for name in ("out", "err"))
        assert ended == code, f"ended with {ended}; {out!r}; {err}"
        return subprocess.CompletedProcess(arguments, code, out, err)
