"""The agents: data in one visible dictionary, which ``[agents.NAME]`` in nova.toml changes.

Which of them speaks next is decided in code (:mod:`novasystem.nova.orchestrator`). What a planner
or a critic says is bound to one small flat JSON schema. The wordings are those that nova-tiny was
trained on, with what larger models need to know besides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from novasystem.errors import ConfigurationError
from novasystem.settings import AgentSettings

__all__ = ["AGENTS", "PLAN", "VERDICT", "Agent", "executors", "team"]

PLAN: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "steps": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
    },
    "required": ["steps"],
    "additionalProperties": False,
}
"""What a planner fills in. A step says in words which others it needs: see
:mod:`novasystem.nova.plan`."""

VERDICT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["ok", "reason"],
    "additionalProperties": False,
}
"""What a critic fills in."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent.

    ``schema``: of what it says; ``None``: free text. ``model``: its own, or the one that the ask
    is made with. ``max_tokens`` and ``timeout_s``: of each time that it speaks. ``tools``: those
    that it may call, ``None`` for all. ``words``: a step that has one of them is for this agent.
    ``conversation``: whether it is shown the session so far and what memory found.
    """

    name: str
    purpose: str
    instructions: str
    schema: Mapping[str, Any] | None = None
    model: str | None = None
    temperature: float = 0.0
    max_tokens: int = 2048
    timeout_s: float = 300.0
    tools: tuple[str, ...] | None = ()
    words: tuple[str, ...] = ()
    conversation: bool = False


_EXECUTOR = Agent(
    "executor",
    "Carries out one step of the plan",
    "You are the executor of a team. Answer with the result only.",
    tools=None,
    conversation=True,
)

AGENTS: Mapping[str, Agent] = {
    agent.name: agent
    for agent in (
        Agent(
            "planner",
            "Unpacks the question into steps",
            "You are the planner of a team. Split the request into short steps that can each be "
            "done alone, at the same time. Where a step needs what an earlier one found, write "
            '"the result of step 1" in it. Answer only with {"steps": ["..."]}.',
            schema=PLAN,
            max_tokens=1024,
            conversation=True,
        ),
        _EXECUTOR,
        Agent(
            "critic",
            "Checks the results against the question",
            "You are the critic of a team. Check whether the results are right and answer the "
            "question. Where a step was not done right, name it in the reason. "
            'Reply with {"ok": true or false, "reason": "..."}.',
            schema=VERDICT,
            max_tokens=512,
        ),
        Agent(
            "closer",
            "Writes the answer from the results",
            "You are the closing agent. Write the final answer. Use only the results, and say so "
            "where one is missing.",
        ),
        Agent(
            "single",
            "Answers alone",
            "You are a helpful assistant.",
            tools=None,
            conversation=True,
        ),
    )
}
"""Those that are always there. Any other that the settings add carries out steps."""


def team(given: Mapping[str, AgentSettings]) -> dict[str, Agent]:
    """The built-in agents as the settings change them, and the executors that these add.

    Raises ``ConfigurationError`` for a new agent that nobody knows what for.
    """
    agents = dict(AGENTS)
    for name, settings in given.items():
        changes = settings.model_dump(exclude_none=True)
        if name not in agents:
            for needed in ("purpose", "instructions"):
                if needed not in changes:
                    raise ConfigurationError(
                        f"The agent '{name}' has no {needed}.",
                        hint=f"Set agents.{name}.{needed} in nova.toml.",
                    )
        agents[name] = replace(agents.get(name, replace(_EXECUTOR, name=name)), **changes)
    return agents


def executors(agents: Mapping[str, Agent]) -> dict[str, Agent]:
    """Those that carry out steps, the general one first."""
    return {
        name: agent for name, agent in agents.items() if name == "executor" or name not in AGENTS
    }
