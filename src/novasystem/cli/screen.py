"""Where an answer is shown: text on standard output, all else on standard error."""

import asyncio
import sys
from typing import TYPE_CHECKING

from novasystem.cli.text import printable, styled

if TYPE_CHECKING:
    from rich.status import Status

__all__ = ["Screen"]

_PATIENCE_S = 1.0
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class Screen:
    """One answer's place on the terminal, or in a pipe.

    Only a terminal gets a spinner, the model's reasoning, and text without control characters; a
    pipe gets the text as it is. ``show_text`` is off where the whole is printed at the end.
    """

    def __init__(self, *, show_text: bool = True) -> None:
        self._show_text = show_text
        self._out_is_terminal = sys.stdout.isatty()
        self._err_is_terminal = sys.stderr.isatty()
        self._styled = styled(sys.stderr)
        self._timer: asyncio.TimerHandle | None = None
        self._spinner: Status | None = None
        self._reasoning = False
        self._last = ""

    def waiting(self, loop: asyncio.AbstractEventLoop, model: str) -> None:
        """From now on somebody waits: after a second they are told for what."""
        if self._err_is_terminal:
            self._timer = loop.call_later(_PATIENCE_S, self._spin, model)

    def text(self, text: str) -> None:
        self._stop_waiting()
        if not self._show_text:
            return
        self._end_reasoning()
        sys.stdout.write(printable(text) if self._out_is_terminal else text)
        sys.stdout.flush()
        self._last = text[-1]

    def reasoning(self, text: str) -> None:
        self._stop_waiting()
        if self._show_text and self._err_is_terminal:
            shown = printable(text)
            sys.stderr.write(_DIM + shown + _PLAIN if self._styled else shown)
            sys.stderr.flush()
            self._reasoning = True

    def done(self) -> None:
        """The answer has ended, however: what comes next begins on a line of its own."""
        self._stop_waiting()
        self._end_reasoning()
        if self._last not in {"", "\n"}:
            sys.stdout.write("\n")
        sys.stdout.flush()
        self._last = ""

    def _end_reasoning(self) -> None:
        if self._reasoning:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._reasoning = False

    def _spin(self, model: str) -> None:
        from rich.console import Console

        self._spinner = Console(stderr=True).status(f"Waiting for {model} …")
        self._spinner.start()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None
