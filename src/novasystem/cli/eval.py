"""``nova eval``: whether the team answers more than one agent alone, and what that costs."""

from pathlib import Path
from typing import Annotated

import typer

from novasystem.cli.options import AgentsTemperature, Config, Json, LogLevel, Model

__all__ = ["evaluate"]


def evaluate(
    model: Model = None,
    questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Questions of your own, one JSON object a line."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only questions of this kind; repeatable."),
    ] = None,
    temperature: AgentsTemperature = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Makes answers repeatable.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write every answer there, as JSON."),
    ] = None,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Ask the same questions of one agent and of the team, and compare."""
    from novasystem.cli.evaluating import run_evaluation
    from novasystem.cli.session import opened

    settings = opened(config, log_level)
    parameters = {"temperature": temperature, "seed": seed}
    given = {name: value for name, value in parameters.items() if value is not None}
    code = run_evaluation(
        settings,
        model or settings.default_model,
        questions,
        kinds=kind or [],
        parameters=given,
        output=output,
        as_json=json,
    )
    raise typer.Exit(code)
