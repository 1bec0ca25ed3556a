"""An execution that goes on where another one stopped: what is recorded is taken as it was."""

from typing import Any

from novasystem.nova.agents import AGENTS
from novasystem.nova.entries import Entry
from novasystem.nova.limits import AskLimits, Spent
from novasystem.nova.orchestrator import Orchestrator
from novasystem.nova.progress import Progress
from novasystem.nova.speaking import Speaker

RECORDED: dict[str, tuple[str, dict[str, Any] | None]] = {
    "r1.plan": ("planner", {"steps": ["Find A"]}),
    "r1.s1": ("executor", None),
    "r1.critic": ("critic", {"ok": True, "reason": "All is right."}),
    "close": ("closer", None),
}


class Telling:
    """An execution's context, of a team that needs nobody any more: no engine is behind it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def emit(self, type_: str, data: object) -> None:
        self.told.append(type_)


async def test_an_answer_that_is_recorded_is_not_thrown_away_for_its_tokens() -> None:
    """Its tokens pass the limit, which nobody had reached when it was begun."""
    before = Progress(
        entries={
            step_id: Entry(step_id, agent, "", f"<{agent}>", "m", 1, 60, 40, data=data)
            for step_id, (agent, data) in RECORDED.items()
        }
    )
    spent = Spent(AskLimits(max_total_tokens=350))
    nothing: Any = None
    context: Any = Telling()
    speaker = Speaker(
        context, nothing, nothing, nothing, nothing, nothing, spent, before, "m", nothing
    )
    team = Orchestrator(context, speaker, AGENTS, spent, before, "What is A?")
    assert await team.team() == "<closer>"
    assert (spent.reached, spent.notes, spent.tokens) == ([], [], 400)
    assert context.told == ["plan"]
