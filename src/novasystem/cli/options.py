"""Options that several commands take, written once."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

__all__ = ["AgentsTemperature", "Config", "Json", "LogLevel", "Model", "Seed", "asked"]

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

Model = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", help="'nova models' lists the names."),
]

Seed = Annotated[int | None, typer.Option(metavar="N", min=0, help="Makes an answer repeatable.")]

AgentsTemperature = Annotated[
    float | None, typer.Option(metavar="F", min=0, max=2, help="Of every agent.")
]


def asked(metavar: str) -> Any:
    """The argument that :func:`novasystem.cli.question.question` takes."""
    return typer.Argument(
        metavar=metavar,
        show_default=False,
        help="What to ask; - or nothing: what comes on standard input.",
    )
