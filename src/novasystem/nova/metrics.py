"""The figures of an ask, whole and per agent, out of its chain. Pure."""

from collections.abc import Iterable
from typing import Any

from novasystem.nova.entries import Entry

__all__ = ["metrics"]


def metrics(
    entries: Iterable[Entry],
    *,
    total_s: float,
    ttft_s: float | None,
    cpu_percent: float | None,
    memory_mb: float | None,
    measured: str | None,
) -> dict[str, Any]:
    """``ttft_s``: until the first token of any agent. ``measured``: whose CPU and memory it is,
    "engine" or "server"; agents at work at once each show what all of them used.

    Tokens are ``None`` where an engine did not say.
    """
    agents: dict[str, dict[str, Any]] = {}
    whole: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0}
    for entry in entries:
        if entry.model is None:
            # Memory, and steps that were left out: no model was asked.
            continue
        of = agents.setdefault(
            entry.agent,
            {"calls": 0, "prompt_tokens": 0, "completion_tokens": 0, "seconds": 0.0},
        )
        of["calls"] += 1
        of["seconds"] = round(of["seconds"] + entry.seconds, 4)
        for name in ("prompt_tokens", "completion_tokens"):
            of[name] = _sum(of[name], getattr(entry, name))
            whole[name] = _sum(whole[name], getattr(entry, name))
        for name in ("cpu_percent", "memory_mb"):
            value = getattr(entry, name)
            if value is not None:
                of[name] = max(value, of.get(name, value))
    return {
        **whole,
        "total_s": round(total_s, 4),
        "ttft_s": None if ttft_s is None else round(ttft_s, 4),
        "cpu_percent": cpu_percent,
        "memory_mb": memory_mb,
        "measured": measured,
        "agents": agents,
    }


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
