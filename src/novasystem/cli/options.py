"""Options that several commands take, written once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["Config", "Json", "LogLevel"]

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings to read after your own nova.toml; they win over it.",
    ),
]

LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="How much to log: debug, info, warning or error. debug also shows tracebacks.",
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
