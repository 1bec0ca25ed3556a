"""A server of tools, written with the official package: over standard input, or HTTP on a port."""

import os
import sys
import time

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("tests", log_level="ERROR")
calls = 0


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    """Adds two whole numbers."""
    return a + b


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def pid() -> int:
    """The number of this process."""
    return os.getpid()


@server.tool()
def count() -> int:
    """How often it was called, this time included."""
    global calls
    calls += 1
    return calls


@server.tool()
def variable(name: str) -> str:
    """A variable of the environment."""
    return os.environ.get(name, "")


@server.tool()
def fail(why: str) -> str:
    """Fails."""
    raise RuntimeError(why)


@server.tool()
def wait(seconds: float) -> str:
    """Takes its time."""
    time.sleep(seconds)
    return "done"


@server.tool()
def die(mark: str) -> str:
    """Leaves a mark in a file, and ends its process."""
    with open(mark, "a") as file:
        file.write("x")
    os._exit(3)


@server.tool()
def point() -> dict[str, int]:
    """Something structured."""
    return {"x": 1, "y": 2}


def main() -> None:
    sys.stderr.write("the tests' server begins\n")
    sys.stderr.flush()
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))


if __name__ == "__main__":
    main()
