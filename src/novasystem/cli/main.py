"""The command ``nova``: its commands, and what happens when one of them fails.

Everything heavy is imported inside the commands, so that ``nova --help`` answers at once; and the
help is plain text, because rendering it with rich would cost more than all the rest.
"""

import io
import os
import sys
from typing import Annotated

import typer

from novasystem.cli.ask import ask
from novasystem.cli.bench import app as bench
from novasystem.cli.chat import chat
from novasystem.cli.db import app as db
from novasystem.cli.doctor import doctor
from novasystem.cli.eval import evaluate
from novasystem.cli.failures import exit_code, report
from novasystem.cli.models import models
from novasystem.cli.serve import serve

__all__ = ["app", "main"]

app = typer.Typer(
    name="nova",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  nova serve                      start the server on http://127.0.0.1:8000
  nova chat "What is 2+3?"        ask once
  nova chat                       talk
  nova ask "Add 3 and 4, then name the capital of Japan."
  nova models                     what can be asked
  nova bench run                  measure them
  nova doctor                     what is wrong, and what to do about it
  nova db backup                  keep a copy of what is kept
""",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from novasystem import __version__

        typer.echo(f"nova {__version__}")
        raise typer.Exit


@app.callback()
def nova(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """NovaSystem: measure, serve and keep the language models that you run yourself."""


app.command(
    epilog="""\b
Examples:
  nova serve --port 9000
  nova serve --embedded off --config server.toml
  NOVA_API_KEYS=secret nova serve --host 0.0.0.0
"""
)(serve)
app.command(
    epilog="""\b
Examples:
  nova models
  nova models --json | jq -r '.[].name'

\b
JSON: an array of objects with name (what to ask for), model (what its engine calls
it), engine, default, aliases, parameters, quantization, family, size_bytes,
context_tokens, loaded, capabilities and digest; null where an engine does not say.
"""
)(models)
app.command(
    epilog="""\b
Examples:
  nova chat "Name the capital of France."
  git diff | nova chat "Write a commit message for this:"
  nova chat -m llama3.2 --temperature 0 - < question.txt
  nova chat --json "Hi." | jq .usage
  nova chat                       talk; /help shows the commands

\b
Standard input is read unless it is a terminal: after the message, where there is one.
Standard output holds the answer alone; everything else goes to standard error.
JSON: an object with model, text, reasoning, usage (prompt_tokens, completion_tokens,
cached_tokens, reasoning_tokens), timings (ttft_s, total_s, and server: what the engine
measured itself) and finish_reason (stop, length, tool_calls or content_filter).
"""
)(chat)
app.command(
    epilog="""\b
Examples:
  nova ask "Add 3 and 4, then name the capital of Japan."
  nova ask --mode single --no-chain "What is 2+3?"
  nova ask --session 6f1c1f5e-0a4b-4d0e-9d3c-6b1f0e0f5a11 "And of France?"
  nova ask --json "What is 2+3?" | jq .metrics

\b
The server that works on your data is asked, or the one that --server names; where none
runs, the ask is carried out here. The steps are shown on standard error as they happen,
the answer alone on standard output. Ctrl-C cancels the ask.
JSON: an object with text, chain_of_thought, metrics, session_id, run_id, model, mode,
status and limits_reached.
"""
)(ask)
app.command(
    name="eval",
    epilog="""\b
Examples:
  nova eval
  nova eval -m llama3.2 --kind two-parts --kind three-parts
  nova eval --questions mine.jsonl -o result.json

\b
No server is needed, and none is asked: the data are its own and gone at the end.
A line of a file of questions: {"id": "sum", "prompt": "What is 2+3?", "expect": ["5"]}.
It ends with code 3 where an ask failed, and 130 where it was cancelled.
JSON: an object with model, questions, single and team (right, accuracy, tokens, seconds,
with 95 % intervals), difference, kinds, verdict, and every answer.
""",
)(evaluate)
app.command(
    epilog="""\b
Examples:
  nova doctor
  nova doctor --json | jq '.checks[] | select(.status == "problem")'

\b
It ends with code 1 where it found a problem. JSON: an object with ok and checks, of
which each has name, status (ok, note, warning or problem), detail and hint.
"""
)(doctor)


app.add_typer(bench)
app.add_typer(db)


def main() -> None:
    """Run the command that ``sys.argv`` names and end the process with its code."""
    # A character that the terminal's encoding lacks is shown as '?' instead of ending the answer.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        _run()
    except BrokenPipeError:
        # Whoever read our output has left, which is no failure. What is still buffered goes
        # nowhere: Python would complain about it at the very end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        raise SystemExit(1) from None


def _run() -> None:
    code: int | str | None = 0
    try:
        app()
    except SystemExit as end:
        code = end.code
    except Exception as error:
        report(error)
        code = exit_code(error)
    sys.stdout.flush()
    raise SystemExit(code)


if __name__ == "__main__":
    main()
