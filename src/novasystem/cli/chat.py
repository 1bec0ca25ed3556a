"""``nova chat``: one question, or a conversation, without a server."""

from typing import Annotated

import typer

from novasystem.cli.options import Config, Json, LogLevel, Model, Seed, asked
from novasystem.cli.question import question

__all__ = ["chat"]


def chat(
    message: Annotated[str | None, asked("MESSAGE")] = None,
    model: Model = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Instructions before the conversation.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="F", min=0, help="0: always the likeliest word.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The longest that an answer may get.")
    ] = None,
    seed: Seed = None,
    show_stats: Annotated[
        bool, typer.Option("--show-stats", help="Tokens and times after each answer.")
    ] = False,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Ask a model, or talk with it; no server is needed."""
    text = question(message)
    if text is None and json:
        msg = "needs a message, or standard input that is not a terminal."
        raise typer.BadParameter(msg, param_hint="'--json'")

    from novasystem.cli.answer import Asker
    from novasystem.cli.session import opened
    from novasystem.engines.requests import Sampling

    settings = opened(config, log_level)
    asker = Asker(
        model=model or settings.default_model,
        system=system,
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed),
        limits=settings.limits,
        show_stats=show_stats,
    )
    if text is not None:
        from novasystem.cli.once import ask_once

        ask_once(settings, asker, text, as_json=json)
    else:
        # It imports readline, which may write to standard output.
        from novasystem.cli.conversation import converse

        converse(settings, asker)
