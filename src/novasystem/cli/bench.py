"""``nova bench``: measure models, and look at what was measured."""

import typer

from novasystem.cli.bench_keeping import app as keeping
from novasystem.cli.bench_looking import app as looking
from novasystem.cli.bench_running import app as running

__all__ = ["app"]

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Measure models: run benchmarks, look at them, compare them.",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  nova bench run -m nova-tiny -p "What is 2+2?" --repeat 20
  nova bench list
  nova bench show last
  nova bench compare last-1 last --fail-on "ttft_s>10%"
  nova bench report last -o report.html

\b
No server is needed; one may run on the same data meanwhile.
""",
)

for _commands in (running, looking, keeping):
    app.add_typer(_commands)
