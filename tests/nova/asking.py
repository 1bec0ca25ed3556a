"""Asks, as their tests make them."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.http.wire import Answer, Event, ask, eventually

__all__ = ["ASK", "asked", "chain", "ended", "entry", "read", "screen", "texts", "until"]

ASK = "/api/nova/ask"


def asked(port: int, prompt: str, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
    """A whole answer."""
    answer: Answer = ask(port, "POST", ASK, {"prompt": prompt, **more}, headers, timeout_s=60)
    assert answer.status == 200, answer.text
    return answer.json


def read(port: int, run_id: str, headers: Mapping[str, str] | None = None) -> Any:
    """The answer as it is now."""
    return ask(port, "GET", f"/api/nova/asks/{run_id}", headers=headers).json


def ended(port: int, run_id: str) -> Any:
    """The answer, waited for."""

    def over() -> Any:
        said = read(port, run_id)
        return said if said["status"] not in {"queued", "in_progress", "cancelling"} else None

    return eventually(over, 30)


def chain(answer: Mapping[str, Any]) -> list[str]:
    """The ids of the steps, in the order of their end."""
    return [one["step_id"] for one in answer["chain_of_thought"]]


def entry(answer: Mapping[str, Any], step_id: str) -> Any:
    (found,) = [one for one in answer["chain_of_thought"] if one["step_id"] == step_id]
    return found


def until(stream: Iterable[Event], name: str, step_id: str | None = None) -> list[Event]:
    """The events of a stream up to one of that name, and of that step."""
    seen: list[Event] = []
    for event in stream:
        seen.append(event)
        told = event.json
        of = told.get("step_id") or told.get("entry", {}).get("step_id")
        if event.name == name and step_id in {None, of}:
            return seen
    msg = f"the stream ended without '{name}' of {step_id}: {seen}"
    raise AssertionError(msg)


def screen(events: Iterable[Event]) -> tuple[dict[str, Any], dict[str, str]]:
    """What stands before whoever watches: the entries, and the open steps with their texts."""
    entries: dict[str, Any] = {}
    opened: dict[str, str] = {}
    for event in events:
        told = event.json
        if event.name == "replace":
            entries = {one["step_id"]: one for one in told["entries"]}
            opened = {one["step_id"]: one["text"] for one in told["open"]}
        elif event.name == "step_begun":
            opened[told["step_id"]] = ""
        elif event.name == "token":
            opened[told["step_id"]] += told["text"]
        elif event.name == "step_done":
            entries[told["entry"]["step_id"]] = told["entry"]
            opened.pop(told["entry"]["step_id"], None)
    return entries, opened


def texts(answer: Mapping[str, Any]) -> dict[str, str]:
    return {one["step_id"]: one["text"] for one in answer["chain_of_thought"]}
