"""How a benchmark goes, on standard error: drawn on a terminal, a line now and then elsewhere."""

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from novasystem.benchmarks.progress import GENERATING, ModelProgress, Progress
from novasystem.benchmarks.reports.words import line, rate, seconds
from novasystem.benchmarks.sample_log import ModelState, Record
from novasystem.cli.text import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from novasystem.benchmarks.telemetry import MachineFigures

__all__ = ["Screen"]

_PER_S = 5
"""How often a terminal is drawn: each time takes from the CPU that the models may need."""
_LINE_S = 5.0
_BAR = 20
_NAME = 40


class Screen:
    """A context: what it showed on a terminal is gone at its end, as the results take its place."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._live: Live | None = None
        self._said_s: dict[str, float] = {}

    def __enter__(self) -> "Screen":
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True, highlight=False),
                get_renderable=self._drawn,
                refresh_per_second=_PER_S,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, record: "Record | MachineFigures") -> None:
        model = self._progress.take(record)
        if self._live is None and model is not None:
            name = getattr(record, "model", "")
            state = record.state if isinstance(record, ModelState) else None
            now_s = time.monotonic()
            if state in {"started", "done", "failed"}:
                self._say(name, model)
            elif model.done and now_s - self._said_s.setdefault(name, now_s) >= _LINE_S:
                self._said_s[name] = now_s
                self._say(name, model)

    def _say(self, name: str, model: ModelProgress) -> None:
        said = ", ".join(part for part in (model.shown_status, *self._figures(model)) if part)
        problem = f": {model.problem}" if model.problem and model.status == "failed" else ""
        sys.stderr.write(printable(line(f"{name}: {said}{problem}")) + "\n")
        sys.stderr.flush()

    def _figures(self, model: ModelProgress) -> list[str]:
        if not model.done:
            return []
        return [
            self._done(model),
            f"{model.failed} failed" if model.failed else "",
            f"TTFT {seconds(model.ttft.value)}" if model.ttft.n else "",
            f"{rate(model.pace.value)} tokens/s" if model.pace.n else "",
            f"at {rate(model.rate_per_s)} requests/s" if model.rate_per_s else "",
        ]

    def _done(self, model: ModelProgress) -> str:
        total = self._progress.total
        return f"{model.done}" if total is None else f"{model.done} of {total}"

    def _drawn(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in ("MODEL", "STATUS", "DONE", "", "TTFT", "TOKENS/S", "LEFT"):
            right = name in {"DONE", "TTFT", "TOKENS/S", "LEFT"}
            table.add_column(name, justify="right" if right else "left", no_wrap=True)
        texts = []
        total = self._progress.total
        for name, model in self._progress.models.items():
            left = model.left_s(total) if model.status not in {"done", "failed"} else None
            phase = f", {model.phase}" if model.phase and model.shown_status == GENERATING else ""
            table.add_row(
                Text(line(name, _NAME)),
                Text(model.shown_status + phase, style="red" if model.status == "failed" else ""),
                self._done(model),
                ProgressBar(total=total, completed=model.done, width=_BAR)
                if total is not None
                else Text(f"{rate(model.rate_per_s)} requests/s" if model.rate_per_s else ""),
                seconds(model.ttft.value),
                rate(model.pace.value),
                seconds(None if left is None else round(left)),
            )
            said = line(model.problem or model.text)
            if said:
                texts.append((name, said))
        return Group(table, *(_Tail(name, said) for name, said in texts))


class _Tail:
    """One line: a model's name, and as much of the end of a text as fits."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = line(name, _NAME), text

    def __rich_console__(self, _console: Any, options: Any) -> Any:
        from rich.text import Text

        room = options.max_width - len(self._name) - 4
        text = self._text[-room:] if room > 0 else ""
        yield Text.assemble((f"{self._name}: ", "bold"), (text, "dim"), no_wrap=True, end="\n")
