"""What one agent is asked to do, and what is known of it while it does."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from novasystem.engines.events import Usage
from novasystem.nova.agents import Agent
from novasystem.nova.entries import Entry
from novasystem.turns.fitting import estimate

__all__ = ["Task", "Work", "begun"]


@dataclass(frozen=True, slots=True)
class Task:
    """What one agent is asked to do: ``work`` is the message that it gets."""

    step_id: str
    agent: Agent
    work: str
    round: int = 1
    number: int | None = None
    title: str | None = None
    depends_on: tuple[int, ...] | None = None


@dataclass(slots=True)
class Work:
    """A step in progress: what its entry will say. ``spent``: its tokens, where an engine did not
    say how many they are estimated."""

    task: Task
    model: str
    began_s: float = field(default_factory=time.perf_counter)
    text: list[str] = field(default_factory=list)
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    spent: int = 0
    first_s: float | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    offered: list[str] | None = None
    data: Mapping[str, Any] | None = None

    def count(self, usage: Usage | None, said: str) -> None:
        """An engine that does not say once leaves the whole unknown."""
        texts = {"prompt_tokens": self.task.work, "completion_tokens": said}
        for name, text in texts.items():
            more = None if usage is None else getattr(usage, name)
            self.spent += estimate(text) if more is None else more
            known = getattr(self, name)
            setattr(self, name, None if known is None or more is None else known + more)

    def entry(self, **said: Any) -> Entry:
        task = self.task
        return Entry(
            step_id=task.step_id,
            agent=task.agent.name,
            purpose=task.agent.purpose,
            text="".join(self.text),
            model=self.model,
            round=task.round,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            seconds=round(time.perf_counter() - self.began_s, 4),
            first_s=self.first_s,
            number=task.number,
            title=task.title,
            input=task.work,
            data=self.data,
            depends_on=task.depends_on,
            tools=tuple(self.tools),
            attempts=tuple(self.attempts) or None,
            offered=tuple(self.offered) if self.offered else None,
            **said,
        )


def begun(task: Task, model: str, index: int) -> dict[str, Any]:
    """What watchers are told when it begins."""
    return {
        "step_id": task.step_id,
        "agent": task.agent.name,
        "purpose": task.agent.purpose,
        "model": model,
        "round": task.round,
        "index": index,
        "number": task.number,
        "title": task.title,
        "depends_on": list(task.depends_on or ()),
    }
