"""``nova ask``: a question for the team of agents, and its steps as they happen."""

from typing import Annotated, Any, Literal

import typer

from novasystem.cli.options import (
    AgentsTemperature,
    Config,
    Json,
    LogLevel,
    Model,
    Seed,
    asked,
)
from novasystem.cli.question import question

__all__ = ["ask"]


def ask(
    prompt: Annotated[str | None, asked("QUESTION")] = None,
    model: Model = None,
    mode: Annotated[
        Literal["auto", "team", "single"],
        typer.Option(help="team, or single: one agent; auto: by the question."),
    ] = "auto",
    session: Annotated[
        str | None,
        typer.Option("--session", "-s", metavar="UUID", help="The session to go on with."),
    ] = None,
    chain: Annotated[
        bool, typer.Option("--chain/--no-chain", help="Show the steps that led to the answer.")
    ] = True,
    temperature: AgentsTemperature = None,
    seed: Seed = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of one answer of one agent.")
    ] = None,
    max_rounds: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Rounds of plan, work and critic.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Steps carried out, over all rounds.")
    ] = None,
    max_total_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of all agents, read and written.")
    ] = None,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", metavar="S", help="Seconds for the whole ask.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask the server there, such as http://127.0.0.1:8000."),
    ] = None,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Ask a team of agents, with their steps as they happen."""
    text = question(prompt)
    if text is None:
        msg = "is missing, and standard input is a terminal."
        raise typer.BadParameter(msg, param_hint="'QUESTION'")

    from novasystem.cli.asking import ask_nova
    from novasystem.cli.session import opened

    settings = opened(config, log_level)
    parameters: dict[str, Any] = {
        "temperature": temperature,
        "seed": seed,
        "max_tokens": max_tokens,
        "max_rounds": max_rounds,
        "max_steps": max_steps,
        "max_total_tokens": max_total_tokens,
        "timeout_s": timeout_s,
    }
    body = {
        "prompt": text,
        "model": model,
        "mode": mode,
        "session_id": session,
        "include_chain": chain,
        "parameters": {name: value for name, value in parameters.items() if value is not None},
    }
    given = {name: value for name, value in body.items() if value is not None}
    raise typer.Exit(ask_nova(settings, given, server=server, as_json=json))
