"""A team behind a scripted server: what each agent says is a function of the test's.

Which agent asks is seen from its instructions; what it said before, and to what, is kept.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.http.doors import COMPLETIONS
from tests.servers.answers import (
    Sleep,
    Stall,
    Step,
    json_answer,
    openai_chunk,
    openai_stream,
    sse,
)
from tests.servers.scripted import ScriptedServer, Seen

__all__ = [
    "Acted",
    "Call",
    "Company",
    "Fails",
    "Line",
    "Play",
    "Says",
    "Stalls",
    "engine",
    "plan",
    "verdict",
]

_ROLES = {
    "You are the planner": "planner",
    "You are the executor": "executor",
    "You are the critic": "critic",
    "You are the closing": "closer",
    "You are a helpful": "single",
}


@dataclass(frozen=True)
class Says:
    """These words, a piece each, with that pause before each."""

    text: str
    pause_s: float = 0.0
    finish: str = "stop"
    usage: bool = True


@dataclass(frozen=True)
class Stalls:
    """These words, and then nothing until the client leaves."""

    text: str = "Well"


@dataclass(frozen=True)
class Fails:
    status: int = 500


@dataclass(frozen=True)
class Call:
    """A call of a tool; a text as its arguments is sent as it is."""

    name: str
    arguments: Mapping[str, Any] | str

    @property
    def sent(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


Line = str | Says | Stalls | Fails | Call | tuple[Call, ...]
Turn = Line | Callable[[str], Line]
Play = Turn | Sequence[Turn]


@dataclass(frozen=True)
class Acted:
    """One time that an agent was asked. ``work`` is the task that it got."""

    agent: str
    work: str
    seen: Seen

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.seen.json["messages"]
        return found


def engine(server: ScriptedServer, **more: Any) -> dict[str, str]:
    """Make ``server`` an engine of one model, and the settings of a server of ours that asks it.

    ``more``: what the model's entry in the engine's list says besides.
    """
    models = [{"id": "scripted", "object": "model", "created": 7, "owned_by": "vllm", **more}]
    server.on("GET", "/v1/models", json_answer(200, {"object": "list", "data": models}))
    return {
        "NOVA_EMBEDDED": "off",
        "NOVA_DEFAULT_MODEL": "scripted",
        "NOVA_OPENAI_URL": f"{server.url}/v1",
    }


@dataclass
class Company:
    """``lines``: by agent, what it says: one line for ever, lines in turn, or a function of the
    task; an agent of the settings is known by the beginning of its instructions in ``roles``."""

    server: ScriptedServer
    lines: dict[str, Play] = field(default_factory=dict)
    acted: list[Acted] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plays(self, **lines: Play) -> None:
        """Forget the last play; agents that are not told have lines that lead to an answer."""
        usual: dict[str, Play] = {
            "planner": plan("Find A", "Find B"),
            "executor": lambda work: f"<{work.rpartition('Step: ')[2]}>",
            "critic": verdict(True),
            "closer": lambda work: "All: " + work.partition("Results:\n")[2],
            "single": lambda work: f"Alone: {work}",
        }
        with self._lock:
            self.lines = {**usual, **lines}
            self.acted.clear()
        self.server.asks("POST", COMPLETIONS, self)

    def asked(self, agent: str) -> list[Acted]:
        """Each time that this agent was asked, in order."""
        return [one for one in list(self.acted) if one.agent == agent]

    def __call__(self, seen: Seen) -> Sequence[Step]:
        messages = seen.json["messages"]
        roles = {**_ROLES, **self.roles}
        system = messages[0]["content"]
        agent = next(name for start, name in roles.items() if system.startswith(start))
        work = [m["content"] for m in messages if m["role"] == "user"][-1]
        with self._lock:
            self.acted.append(Acted(agent, work, seen))
            line = self.lines[agent]
            if isinstance(line, list):
                line = line.pop(0) if len(line) > 1 else line[0]
        assert not isinstance(line, list)
        if callable(line):
            line = line(work)
        return _steps(line, len(messages))


def _steps(line: Any, prompt_tokens: int) -> Sequence[Step]:
    if isinstance(line, str):
        line = Says(line)
    if isinstance(line, Fails):
        return json_answer(line.status, {"error": {"message": "The model is out of order."}})
    if isinstance(line, Stalls):
        return [*sse(openai_chunk({"content": line.text}), done=False)[:-1], Stall()]
    if isinstance(line, Call):
        line = (line,)
    if isinstance(line, Says):
        pieces = [word + " " for word in line.text.split(" ")[:-1]] + line.text.split(" ")[-1:]
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(pieces)}
        steps = openai_stream(
            pieces, finish=line.finish, usage=usage if line.usage else None, pause_s=line.pause_s
        )
        return steps if line.pause_s else [*steps[:1], Sleep(0), *steps[1:]]
    deltas = [
        {
            "index": index,
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.sent},
        }
        for index, call in enumerate(line)
    ]
    events = [openai_chunk({"role": "assistant", "content": None})]
    events += [openai_chunk({"tool_calls": [delta]}) for delta in deltas]
    events.append(openai_chunk({}, finish="tool_calls"))
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 1}
    return sse(*events, openai_chunk({}) | {"choices": [], "usage": usage})


def plan(*steps: str) -> str:
    return json.dumps({"steps": list(steps)})


def verdict(ok: bool, reason: str = "All steps are done right.") -> str:
    return json.dumps({"ok": ok, "reason": reason})
