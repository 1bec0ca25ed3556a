"""Asks Nova, shows its steps as they happen, and prints the answer."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson

from novasystem.cli.door import opened_door
from novasystem.cli.failures import traced
from novasystem.cli.text import printable
from novasystem.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

__all__ = ["Steps", "ask_nova"]

_CODES = {"completed": 0, "incomplete": 0, "cancelled": 130}
_OTHERWISE = 1
_SHOWN_CHARS = 500
_TAIL_CHARS = 70
_MARKS = {"completed": "\u2713", "incomplete": "…", "skipped": "-", "failed": "\u2717"}


def ask_nova(
    settings: Settings, body: Mapping[str, Any], *, server: str | None, as_json: bool
) -> int:
    """The command's code: 0, 130 where the ask was cancelled."""

    async def work() -> dict[str, Any]:
        async with opened_door(settings, server) as door:
            with Steps(show=body["include_chain"] and not as_json) as steps:
                async with aclosing(door.ask(body)) as events:
                    async for event in events:
                        if event["type"] == "done":
                            return event
                        steps.see(event)
        raise AssertionError

    with traced(settings.log_level):
        answer = asyncio.run(work())
    del answer["type"]
    if as_json:
        sys.stdout.write(orjson.dumps(answer).decode() + "\n")
    else:
        text = printable(answer["text"]) if sys.stdout.isatty() else answer["text"]
        sys.stdout.write(text + ("" if text.endswith("\n") else "\n"))
        sys.stdout.flush()
        sys.stderr.write(f"{printable(_summary(answer))}\n")
    sys.stdout.flush()
    return _CODES.get(answer["status"], _OTHERWISE)


def _summary(answer: Mapping[str, Any]) -> str:
    """One line for people."""
    metrics = answer["metrics"] or {}
    parts = [f"session {answer['session_id']}", f"{answer['mode']} of {answer['model']}"]
    if answer["limits_reached"]:
        parts.append(f"limits reached: {', '.join(answer['limits_reached'])}")
    if metrics.get("prompt_tokens") is not None:
        parts.append(f"{metrics['prompt_tokens']} tokens in")
    if metrics.get("completion_tokens") is not None:
        parts.append(f"{metrics['completion_tokens']} tokens out")
    if metrics.get("total_s") is not None:
        parts.append(f"{metrics['total_s']:.1f} s")
    return " · ".join(parts)


class Steps:
    """The steps of an ask on standard error: on a terminal those that go on move, and each one
    that is done becomes a line."""

    def __init__(self, *, show: bool) -> None:
        from rich.console import Console

        self._show = show
        self._console = Console(stderr=True, highlight=False)
        self._open: dict[str, dict[str, Any]] = {}
        self._told: set[str] = set()
        self._live: Live | None = None

    def __enter__(self) -> "Steps":
        if self._show and self._console.is_terminal:
            from rich.live import Live

            self._live = Live(
                console=self._console,
                refresh_per_second=8,
                transient=True,
                get_renderable=self._moving,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.clear()
        if self._live is not None:
            self._live.stop()

    def see(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "step_begun":
                self._open[event["step_id"]] = {**event, "text": ""}
            case "token" if event["step_id"] in self._open:
                self._open[event["step_id"]]["text"] += event["text"]
            case "tool":
                said = event.get("output", event.get("error"))
                given = orjson.dumps(event["arguments"], default=str).decode()
                self._line(f"    {event['name']} {given} = {_short(said)}", "dim")
            case "recalled":
                for item in event["items"]:
                    self._line(f"  remembered: {_short(item['text'])}", "dim")
            case "step_done":
                self._done(event["entry"])
            case "replace":
                self._open = {one["step_id"]: {"text": "", **one} for one in event["open"]}
                for entry in event["entries"]:
                    self._done(entry)

    def _done(self, entry: Mapping[str, Any]) -> None:
        self._open.pop(entry["step_id"], None)
        if entry["step_id"] in self._told:
            return
        self._told.add(entry["step_id"])
        if entry["agent"] == "memory":
            return
        mark = _MARKS.get(entry["status"], "?")
        title = f" {_short(entry['title'])}:" if entry.get("title") else ":"
        error = entry.get("error")
        said = _short(error["message"] if error and not entry["text"] else entry["text"])
        tokens = "" if entry.get("tokens") is None else f"{entry['tokens']} tokens, "
        self._line(f"{mark} {entry['agent']}{title} {said}", "red" if error else "")
        self._line(f"    {tokens}{entry['seconds']:.1f} s", "dim")

    def _line(self, text: str, style: str) -> None:
        if self._show:
            self._console.print(printable(text), style=style, markup=False, soft_wrap=True)

    def _moving(self) -> "RenderableType":
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.text import Text

        lines = []
        for step in self._open.values():
            title = step.get("title") or step.get("purpose") or ""
            tail = " ".join(step["text"].split())[-_TAIL_CHARS:]
            shown = Text(printable(f"{step['agent']} {_short(title)} {tail}"), overflow="ellipsis")
            shown.no_wrap = True
            lines.append(Spinner("dots", shown))
        return Group(*lines)


def _short(said: Any) -> str:
    text = said if isinstance(said, str) else orjson.dumps(said, default=str).decode()
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]} …"
