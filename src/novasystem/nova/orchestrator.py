"""Who speaks next: planner, executors, critic, perhaps another round, closer. Decided here alone.

Every agent's entry is stored before the next one is asked; an execution that goes on where another
was broken off takes the same way, and gets what is stored instead of asking.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from novasystem.errors import RunFailed
from novasystem.nova import wording
from novasystem.nova.agents import Agent, executors
from novasystem.nova.entries import Entry
from novasystem.nova.limits import Spent
from novasystem.nova.plan import Step, as_steps, named_in, shown, with_dependents
from novasystem.nova.progress import Progress
from novasystem.nova.speaking import Speaker
from novasystem.nova.tasks import Task
from novasystem.runs.context import RunContext

__all__ = ["Orchestrator"]

_CUT = {"max_tokens", "agent_timeout"}
"""Limits of one agent, which ends there with what it has said."""
_NO_PLAN = {"malformed_output", *_CUT}


class Orchestrator:
    """One execution's way through the team; ``results``: of each step, its newest entry."""

    def __init__(
        self,
        context: RunContext,
        speaker: Speaker,
        agents: Mapping[str, Agent],
        spent: Spent,
        before: Progress,
        question: str,
    ) -> None:
        self._context = context
        self._speaker = speaker
        self._agents = agents
        self._executors = executors(agents)
        self._spent = spent
        self._question = question
        self._steps: list[Step] = []
        self._entries: dict[int, Entry] = {}
        self._told = {plan["round"] for plan in before.plans}

    @property
    def results(self) -> list[tuple[Step, Entry]]:
        return [(s, self._entries[s.number]) for s in self._steps if s.number in self._entries]

    async def single(self) -> str:
        """One agent alone."""
        entry = await self._ask(self._task("single", "single", self._question))
        return self._answer(entry)

    async def team(self) -> str:
        """The whole process; a limit that is reached ends it early, and the answer says so."""
        steps, wrong = await self._plan(), ""
        for round_ in range(1, self._spent.limits.max_rounds + 1):
            await self._carry_out(steps, round_, wrong)
            if self._spent.reached or self._tokens_gone():
                break
            verdict = await self._judge(round_)
            if verdict is None or verdict["ok"]:
                break
            reason = str(verdict["reason"])
            if round_ == self._spent.limits.max_rounds:
                self._spent.reach(
                    "max_rounds",
                    f"After {round_} round{'s' if round_ > 1 else ''} the critic was still not "
                    f"satisfied: {reason}",
                )
                break
            named = named_in(reason, self._steps)
            steps = await self._plan_again(round_ + 1, reason, named)
            wrong = reason if named else ""
            if not steps:
                self._spent.notes.append(f"The critic was not satisfied: {reason}")
                break
        return await self._close()

    async def _plan(self) -> list[Step]:
        work = wording.plan(self._question, self._executors)
        entry = await self._ask(self._task("r1.plan", "planner", work))
        if entry.data is not None:
            self._steps = as_steps(entry.data["steps"], self._executors)
        elif entry.error is not None and entry.error["code"] not in _NO_PLAN:
            # Without it nothing can be done, and what failed is told.
            raise RunFailed(entry.error["code"], entry.error["message"])
        if not self._steps:
            # The chain says what came instead of a plan.
            self._steps = [Step(1, self._question, "executor")]
        self._tell_plan(1, self._steps)
        return self._steps

    async def _plan_again(self, round_: int, reason: str, named: Sequence[Step]) -> list[Step]:
        """The steps that the critic named, and what needs them; else what the planner adds."""
        if named:
            again = with_dependents(named, self._steps)
            self._tell_plan(round_, again)
            return again
        work = wording.plan_again(self._question, self.results, reason, self._executors)
        entry = await self._ask(self._task(f"r{round_}.plan", "planner", work, round_))
        if entry.data is None:
            return []
        more = as_steps(entry.data["steps"], self._executors, self._steps)
        self._steps = [*self._steps, *more]
        if more:
            self._tell_plan(round_, more)
        return more

    def _tell_plan(self, round_: int, steps: Sequence[Step]) -> None:
        if round_ not in self._told:
            self._context.emit("plan", {"round": round_, "steps": shown(steps)})

    async def _carry_out(self, steps: Sequence[Step], round_: int, reason: str) -> None:
        """Each step as soon as those that it needs are done; the others at once."""
        room = max(0, self._spent.limits.max_steps - self._spent.steps)
        chosen, left_out = steps[:room], steps[room:]
        self._spent.steps += len(chosen)
        if left_out:
            self._spent.reach(
                "max_steps",
                f"Only {self._spent.limits.max_steps} steps were allowed: not carried out: "
                + "; ".join(step.title for step in left_out)
                + ".",
            )
        over = {step.number: asyncio.Event() for step in chosen}
        try:
            async with asyncio.TaskGroup() as group:
                for step in chosen:
                    group.create_task(self._step(step, round_, reason, over))
        except ExceptionGroup as several:
            # What ends the run is one of them, as it was raised.
            raise several.exceptions[0] from None
        entries = list(self._entries.values())
        if entries and all(entry.status == "failed" and not entry.text for entry in entries):
            error = entries[0].error or {"code": "internal_error", "message": "No step was done."}
            raise RunFailed(error["code"], error["message"])

    async def _step(
        self,
        step: Step,
        round_: int,
        reason: str,
        over: Mapping[int, asyncio.Event],
    ) -> None:
        try:
            for needed in step.depends_on:
                if needed in over:
                    await over[needed].wait()
            known = [(s, e) for s, e in self.results if s.number in step.depends_on]
            work = wording.carry_out(self._question, step, known, reason)
            task = Task(
                step_id=f"r{round_}.s{step.number}",
                agent=self._executors[step.agent],
                work=work,
                round=round_,
                number=step.number,
                title=step.title,
                depends_on=step.depends_on,
            )
            missing = [s.number for s, e in known if not e.text]
            missing += [n for n in step.depends_on if n not in self._entries]
            if missing:
                entry = await self._skip(task, "needs_failed", f"It needs step {missing[0]}.")
            elif self._tokens_gone():
                entry = await self._skip(task, "max_total_tokens", "No tokens were left.")
            else:
                entry = await self._ask(task)
            if entry.text or step.number not in self._entries:
                self._entries[step.number] = entry
        finally:
            if step.number in over:
                over[step.number].set()

    async def _skip(self, task: Task, code: str, message: str) -> Entry:
        done = self._speaker.recorded(task.step_id)
        if done is not None:
            return done
        entry = Entry(
            step_id=task.step_id,
            agent=task.agent.name,
            purpose=task.agent.purpose,
            text="",
            model=None,
            round=task.round,
            prompt_tokens=0,
            completion_tokens=0,
            status="skipped",
            number=task.number,
            title=task.title,
            depends_on=task.depends_on,
            error={"code": code, "message": message},
        )
        return await self._speaker.done(entry)

    async def _judge(self, round_: int) -> Mapping[str, Any] | None:
        """``None``: nobody could check it, which the answer says."""
        work = wording.worked(self._question, self.results)
        entry = await self._ask(self._task(f"r{round_}.critic", "critic", work, round_))
        if entry.data is None:
            self._tell(entry, "The results were not checked:")
        return entry.data

    def _note_failures(self) -> None:
        """What no round could mend."""
        for entry in self._speaker.entries.values():
            if entry.agent == "planner" and entry.error and entry.error["code"] in _CUT:
                self._tell(entry, "There was no plan:")
        for step, entry in self.results:
            if entry.status in {"failed", "incomplete"}:
                what = "failed" if entry.status == "failed" else "is not whole"
                self._tell(entry, f"Step {step.number} ({step.title}) {what}:")

    def _tell(self, entry: Entry, what: str) -> None:
        """``what`` came of an agent's error: a sentence of the answer, and perhaps a limit."""
        error = entry.error or {"code": "", "message": "it said nothing."}
        note = f"{what} {error['message']}"
        if error["code"] in _CUT:
            self._spent.reach(error["code"], note)
        else:
            self._spent.notes.append(note)

    async def _close(self) -> str:
        self._note_failures()
        if self._tokens_gone():
            return wording.partial(self.results)
        work = wording.worked(self._question, self.results)
        entry = await self._ask(self._task("close", "closer", work, self._round()))
        if not entry.text:
            self._tell(entry, "The closing agent could not write the answer:")
            return wording.partial(self.results)
        return self._answer(entry)

    def _answer(self, entry: Entry) -> str:
        if entry.error is not None and entry.status == "failed" and not entry.text:
            raise RunFailed(entry.error["code"], entry.error["message"])
        if entry.error is not None:
            cut = entry.error["code"] in _CUT
            self._tell(entry, "The answer is cut off:" if cut else "The answer broke off:")
        return entry.text

    def _round(self) -> int:
        return max((entry.round for entry in self._entries.values()), default=1)

    def _task(self, step_id: str, name: str, work: str, round_: int = 1) -> Task:
        return Task(step_id, self._agents[name], work, round_)

    async def _ask(self, task: Task) -> Entry:
        return await self._speaker.speak(task)

    def _tokens_gone(self) -> bool:
        left = self._spent.tokens_left()
        if left is None or left > 0:
            return False
        self._spent.reach(
            "max_total_tokens",
            f"The limit of {self._spent.limits.max_total_tokens} tokens was reached.",
        )
        return True
