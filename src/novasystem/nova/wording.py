"""What agents are told: the texts of their tasks. Pure.

The forms are those that nova-tiny was trained on (``tools/tiny_model/tasks/agents.py``); larger
models read them as well.
"""

from collections.abc import Mapping, Sequence

from novasystem.nova.agents import Agent
from novasystem.nova.conversation import shortened
from novasystem.nova.entries import Entry
from novasystem.nova.plan import Step

__all__ = ["carry_out", "partial", "plan", "plan_again", "worked"]

_RESULT_CHARS = 4000
_SHORT_WORDS = 40
Results = Sequence[tuple[Step, Entry]]


def plan(question: str, executors: Mapping[str, Agent]) -> str:
    """Those that the settings added are told with their purposes."""
    more = [agent for name, agent in executors.items() if name != "executor"]
    if not more:
        return question
    lines = "\n".join(f"- {agent.name}: {agent.purpose}" for agent in more)
    return (
        f"{question}\n\nBegin a step with a name and a colon where one of these should do it:\n"
        f"{lines}"
    )


def plan_again(question: str, results: Results, reason: str, executors: Mapping[str, Agent]) -> str:
    """For a round that no step of the former one can mend."""
    return (
        f"{plan(question, executors)}\n\nDone so far:\n{_listed(results)}\n\n"
        f"What is missing: {reason}\nPlan only the steps that are still to be done."
    )


def carry_out(question: str, step: Step, known: Results, reason: str = "") -> str:
    """``known``: the results that it needs. ``reason``: why it was not done right before.

    A long question is shown as well: it holds material that no step can repeat. A short one would
    only tempt a small model to answer all of it.
    """
    task = f"Step: {step.title}"
    if reason:
        task += f"\nIt was not done right before: {reason}"
    if known:
        task = f"Results so far:\n{_listed(known)}\n\n{task}"
    if len(question.split()) > _SHORT_WORDS:
        task = f"Question: {question}\n{task}"
    return task


def worked(question: str, results: Results) -> str:
    """What critic and closing agent read: the question, and what came of each step."""
    return f"Question: {question}\nResults:\n{_listed(results)}"


def partial(results: Results) -> str:
    """What stands in the place of an answer that no agent could write any more."""
    found = [(step, entry) for step, entry in results if entry.text]
    if not found:
        return "There is no answer: nothing was found before that."
    return "What was found:\n" + "\n".join(f"- {s.title}: {e.text}" for s, e in found)


def _listed(results: Results) -> str:
    return "\n".join(f"{step.number}. {step.title}: {_result(entry)}" for step, entry in results)


def _result(entry: Entry) -> str:
    if entry.text:
        return shortened(entry.text, _RESULT_CHARS)
    return "could not be done: " + (entry.error or {}).get("message", "nothing was said.")
