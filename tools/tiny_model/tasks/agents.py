"""A team at work: planner, executor, critic, and the one who puts the results together."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tools.tiny_model.chat import Message, assistant, system, user
from tools.tiny_model.draw import Draw
from tools.tiny_model.tasks.phrasing import persona
from tools.tiny_model.tasks.sequences import NUMBER_WORDS
from tools.tiny_model.tasks.stories import sentence_about
from tools.tiny_model.tasks.sums import worked
from tools.tiny_model.words import ADJECTIVES, CAPITALS

PLANNERS = (
    "You are the planner. Answer with a JSON plan.", "You are the planner.", "You are a planner.",
    "You are the planner. Break the task into steps.", "You plan tasks. Reply with JSON.",
    "You are the planner. Write the steps as JSON.", "You are the planner of a team.",
    "You are the planner. Split the request into short steps and reply as JSON.",
    'You are the planner. Reply with JSON: {"steps": [...]}',
    'You are the planner of a team. Answer only with {"steps": ["..."]}.',
    "Make a plan as JSON.", "Plan the task. Answer as JSON with the key steps.",
)  # fmt: skip
NUMBERED_PLANNERS = (
    "You are the planner. Write a numbered list.",
    "You are the planner. Answer with numbered steps.",
    "Make a plan as a numbered list.", "You are the planner. List the steps, one per line.",
    "Break the task into numbered steps.",
)  # fmt: skip
PLAN_REQUESTS = ("Make a plan: {q}", "Plan: {q}", "Plan this: {q}", "Task: {q}", "Request: {q}",
    "Question: {q}",
                 "What are the steps? {q}", "Break this into steps: {q}")  # fmt: skip
EXECUTORS = (
    "You are the executor. Do the step.", "You are the executor.", "You are an executor.",
    "You are the executor. Carry out one step and give the result.", "Carry out the step.",
    "You are the executor of a team. Answer with the result only.", "You execute steps.",
)  # fmt: skip
EXECUTE_REQUESTS = ("{q}", "{q}.", "Step: {q}", "Step 1: {q}", "Step 2: {q}", "Do this: {q}",
    "Your step: {q}",
                    "Task: {q}", "Execute: {q}")  # fmt: skip
CRITICS = (
    "You are the critic. Answer as JSON.", "You are the critic.", "You are a critic.",
    "You are the critic. Check the answer and reply as JSON.", "Check the answer. Reply as JSON.",
    'You are the critic. Reply with {"ok": true or false, "reason": "..."}.',
    "You are the critic of a team. Judge the answer as JSON.",
)  # fmt: skip
TEXT_CRITICS = (
    "You are the critic. Say ok or not ok.", "Check the answer. Say ok or not ok and why.",
    "You are the critic. Answer with ok, or with not ok and the reason.",
)  # fmt: skip
CLOSERS = (
    "You are the writer. Put the results together.", "You combine the results into one answer.",
    "You are the closing agent. Write the final answer.", "You are the summarizer.",
    "You are the closer. Answer the question with the results.",
    "Write the final answer in one sentence.",
    "You are the synthesizer. Combine the results into one sentence.",
)  # fmt: skip


FREE_VERBS = ("check", "find", "compare", "list", "read", "test", "open", "measure", "explain")


@dataclass(frozen=True)
class Task:
    """One thing to do: as a clause of a request, as a step, its result, and a wrong result."""

    clauses: tuple[str, ...]
    step: str
    result: str
    told: str
    wrong: str


def _sum(draw: Draw, *, single_digits: bool = False) -> Task:
    a, b = draw.pair(1 if single_digits or draw.chance(0.4) else 0)
    off = abs(a + b + draw.pick((-10, -2, -1, 1, 2, 10)))
    result = worked(a, b)
    clauses = (f"add {a} and {b}", f"what is {a} + {b}", f"what is {a}+{b}",
    f"compute {a} plus {b}",
               f"give the sum of {a} and {b}", f"calculate {a} + {b}",
               f"add {a} to {b}")  # fmt: skip
    return Task(
        clauses,
        f"Add {a} and {b}",
        result,
        f"{a} + {b} = {a + b}",
        result.replace(f"= {a + b}.", f"= {off}."),
    )


def _capital(draw: Draw) -> Task:
    country = draw.country()
    city = CAPITALS[country]
    other = draw.pick([c for c in CAPITALS.values() if c != city])
    clauses = (f"name the capital of {country}", f"what is the capital of {country}",
               f"tell me the capital of {country}", f"give the capital of {country}",
               f"find the capital of {country}", f"say the capital of {country}")  # fmt: skip
    said = f"the capital of {country} is {city}"
    step, result = f"Name the capital of {country}", f"The capital of {country} is {city}."
    return Task(clauses, step, result, said,
                f"The capital of {country} is {other}.")  # fmt: skip


def _count(draw: Draw) -> Task:
    n = draw.randint(3, 12)
    shown = NUMBER_WORDS[n] if draw.chance(0.5) else str(n)
    numbers = ", ".join(map(str, range(1, n + 1)))
    missing = ", ".join(str(i) for i in range(1, n + 1) if i != n - 1)
    return Task((f"count to {shown}", f"count up to {shown}", f"count from 1 to {shown}"),
                f"Count to {shown}", numbers, f"the numbers are {numbers}", missing)  # fmt: skip


def _greet(draw: Draw) -> Task:
    name = draw.name()
    clauses = (f"greet {name}", f"say hello to {name}", f"say hi to {name}")
    return Task(clauses, f"Say hello to {name}",
                f"Hello, {name}!", f"hello to {name}", f"Hello, {draw.name()}!")  # fmt: skip


def _sentence(draw: Draw) -> Task:
    topic = draw.thing()
    result = sentence_about(draw, topic)
    clauses = (f"write one sentence about {topic}", f"write a sentence about {topic}",
               f"say something about {topic}", f"describe {topic} in one sentence")  # fmt: skip
    told = result[0].lower() + result[1:].rstrip(".")
    return Task(
        clauses,
        f"Write one sentence about {topic}",
        result,
        told,
        sentence_about(draw, draw.noun()),
    )


def _repeat(draw: Draw) -> Task:
    words = draw.thing()
    return Task((f"say {words}", f"repeat {words}", f"repeat the words {words}"), f"Say {words}",
                words, f"{words}", draw.thing())  # fmt: skip


def _free(draw: Draw) -> Task:
    """Something the model cannot do itself: the planner only has to copy it."""
    phrase = f"{draw.pick(FREE_VERBS)} the {draw.pick(ADJECTIVES)} {draw.noun()}"
    if draw.chance(0.5):
        place = draw.pick((draw.city(), draw.made_up(1, 3), draw.name()))
        phrase += f" {draw.pick(('in', 'for', 'of', 'with'))} {place}"
    unknown = "I am a very small model and do not know that."
    return Task(
        (phrase,), phrase[0].upper() + phrase[1:], unknown, "I could not do the rest", unknown
    )


def _small_sum(draw: Draw) -> Task:
    return _sum(draw, single_digits=True)


def draw_tasks(draw: Draw, count: int, *, doable: bool = False, small: bool = False) -> list[Task]:
    """`doable` leaves out what only the planner can handle, `small` the sums worked in steps."""
    add = _small_sum if small else _sum
    makers = [add, add, _capital, _capital, _count, _greet, _sentence, _repeat]
    if not doable:
        makers += [_free, _free]
    return [draw.pick(makers)(draw) for _ in range(count)]


def request(draw: Draw, tasks: list[Task]) -> str:
    """Joins the tasks into what a user would write."""
    clauses = [draw.pick(task.clauses) for task in tasks]
    text = clauses[0]
    for at, clause in enumerate(clauses[1:], start=2):
        last = at == len(clauses)
        glue = draw.pick((", then ", " and then ", ", and then ", " and ", "; then ", ", "))
        if last and len(clauses) > 2:
            glue = draw.pick((", and ", " and finally ", ", and finally ", ", then ", " and "))
        text += (
            draw.pick((". Then ", ". After that, ", ". Also ")) + clause
            if draw.chance(0.12)
            else glue + clause
        )
    mark = "?" if text.startswith("what") else "."
    return text[0].upper() + text[1:] + (mark if draw.chance(0.92) else "")


def plan_json(tasks: list[Task]) -> str:
    return json.dumps({"steps": [task.step for task in tasks]}, ensure_ascii=False)


def plan_list(tasks: list[Task]) -> str:
    return "\n".join(f"{at}. {task.step}" for at, task in enumerate(tasks, start=1))


def planner(draw: Draw) -> list[Message]:
    tasks = draw_tasks(draw, draw.pick((1, 1, 2, 2, 2, 2, 3, 3, 4)))
    question = request(draw, tasks)
    as_list = draw.chance(0.25)
    if draw.chance(0.2):
        form = "as a numbered list" if as_list else "as JSON"
        question = (
            f"{draw.pick(('Make a plan', 'Write a plan', 'Give me the steps'))} {form}: {question}"
        )
        opening = []
    else:
        opening = [system(draw.pick(NUMBERED_PLANNERS if as_list else PLANNERS))]
        if draw.chance(0.4):
            question = draw.pick(PLAN_REQUESTS).format(q=question)
    plan = plan_list(tasks) if as_list else plan_json(tasks)
    return [*opening, user(question), assistant(plan)]


def executor(draw: Draw) -> list[Message]:
    """One step, now and then with the earlier results or the whole question before it."""
    (task,) = draw_tasks(draw, 1)
    asked = draw.pick(EXECUTE_REQUESTS).format(q=task.step)
    if draw.chance(0.3):
        before = draw_tasks(draw, draw.randint(1, 2), doable=True)
        done = "\n".join(f"{t.step}: {t.result}" for t in before)
        head = draw.pick(("Results so far:", "Done so far:", "Earlier results:", "Context:"))
        labelled = asked.startswith(("Step", "Task", "Your"))
        asked = f"{head}\n{done}\n\n{asked if labelled else 'Step: ' + task.step}"
    elif draw.chance(0.2):
        whole = request(draw, [task, *draw_tasks(draw, 1)])
        asked = f"Question: {whole}\nStep: {task.step}"
    opening = system(draw.pick(EXECUTORS) if draw.chance(0.8) else persona(draw))
    return [opening, user(asked), assistant(task.result)]


def _work(draw: Draw, tasks: list[Task], results: list[str]) -> str:
    """The question with the results of its steps, as critic and closer read it."""
    question = request(draw, tasks)
    style = draw.random()
    if style < 0.4:
        lines = [
            f"{at}. {t.step}: {r}" for at, (t, r) in enumerate(zip(tasks, results, strict=True), 1)
        ]
    elif style < 0.7:
        lines = [f"- {t.step}: {r}" for t, r in zip(tasks, results, strict=True)]
    else:
        lines = [f"{t.step}: {r}" for t, r in zip(tasks, results, strict=True)]
    label = draw.pick(("Question", "Request", "Task"))
    return (
        f"{label}: {question}\n{draw.pick(('Results', 'Step results', 'Answers'))}:\n"
        + "\n".join(lines)
    )


def critic(draw: Draw) -> list[Message]:
    """Judges a sum or a capital (which it can check), or an answer that fits or misses the step."""
    tasks = draw_tasks(draw, draw.pick((1, 1, 2, 3)), doable=True)
    results = [task.result for task in tasks]
    bad = draw.randrange(len(tasks)) if draw.chance(0.5) else None
    reason = "The answer is right." if len(tasks) == 1 else "All steps are done right."
    if bad is not None:
        task = tasks[bad]
        results[bad] = task.wrong
        if draw.chance(0.25):
            results[bad] = draw.pick(
                ("I do not know.", "I am a very small model and do not know that.")
            )
        reason = f"The step was not done right: {task.step}"
    if len(tasks) == 1 and draw.chance(0.6):
        asked = request(draw, tasks)
        content = f"Question: {asked}\nAnswer: {results[0]}"
    else:
        content = _work(draw, tasks, results)
    if draw.chance(0.3):
        text = "ok" if bad is None else f"not ok: {reason}"
        return [system(draw.pick(TEXT_CRITICS)), user(content), assistant(text)]
    verdict = json.dumps({"ok": bad is None, "reason": reason}, ensure_ascii=False)
    return [system(draw.pick(CRITICS)), user(content), assistant(verdict)]


def together(tasks: list[Task]) -> str:
    """All results in one sentence."""
    told = [task.told for task in tasks]
    text = told[0] if len(told) == 1 else ", ".join(told[:-1]) + ", and " + told[-1]
    return text[0].upper() + text[1:] + "."


def closer(draw: Draw) -> list[Message]:
    tasks = draw_tasks(draw, draw.pick((1, 2, 2, 2, 3)), doable=True)
    content = _work(draw, tasks, [task.result for task in tasks])
    return [system(draw.pick(CLOSERS)), user(content), assistant(together(tasks))]


def chained(draw: Draw) -> tuple[str, str]:
    """A request of two or three parts, answered at once, without a team."""
    tasks = draw_tasks(draw, draw.pick((2, 2, 2, 3)), doable=True, small=True)
    return request(draw, tasks), together(tasks)
