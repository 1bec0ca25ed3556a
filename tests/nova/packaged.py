"""Tools of an installed package, as another program would add them: an entry point and a module."""

from pathlib import Path

__all__ = ["packaged"]

_MODULE = """
import asyncio
import os
from pathlib import Path

from novasystem.nova.tools import Tool

CALLED = Path(os.environ["TESTS_CALLED"])
WHAT = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}


def note(name, what):
    with CALLED.open("a") as file:
        file.write(f"{name} {what}\\n")


async def record(asker, arguments):
    note("record", arguments["what"])
    while not (CALLED.parent / "go").exists():
        await asyncio.sleep(0.01)
    return {"recorded": arguments["what"]}


async def look(asker, arguments):
    note("look", arguments["what"])
    return {"looked": 1}


async def length(asker, arguments):
    more = CALLED.parent / "more"
    return len(arguments["what"]) + (int(more.read_text()) if more.exists() else 0)


TOOLS = [
    Tool("record", "Writes something down", WHAT, record),
    Tool("look", "Looks at something", WHAT, look, repeatable=True),
    Tool("length", "The length of a text", WHAT, length, repeatable=True),
]
"""


def packaged(folder: Path, called: Path) -> dict[str, str]:
    """Install the package for a server that gets this environment.

    ``record`` writes a line into ``called`` and waits for a file ``go`` beside it, ``look`` writes
    a line, ``length`` is that of a text, and what a file ``more`` says
    besides.
    """
    site = folder / "site"
    info = site / "somebodys_tools-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "somebodys_tools.py").write_text(_MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[novasystem.tools]\nall = somebodys_tools:TOOLS\n")
    return {"PYTHONPATH": str(site), "TESTS_CALLED": str(called)}
