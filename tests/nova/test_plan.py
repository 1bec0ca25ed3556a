"""Plans out of words: dependencies, agents, and what a critic names. Pure."""

from dataclasses import replace

import pytest

from novasystem.errors import ConfigurationError
from novasystem.nova.agents import AGENTS, executors, team
from novasystem.nova.mode import parts, tells
from novasystem.nova.plan import as_steps, named_in, with_dependents
from novasystem.settings import AgentSettings

ONE = executors(AGENTS)


@pytest.mark.parametrize(
    ("step", "needs"),
    [
        ("Name the capital of Japan", ()),
        ("Add 5 to the result", (3,)),
        ("Add 5 to it", (3,)),
        ("Double that number", (3,)),
        ("Translate it into French", (3,)),
        ("Multiply the result of step 1 by 2", (1,)),
        ("Add the results of steps 1 and 3", (1, 3)),
        ("Compare step 1, 2 and 3", (1, 2, 3)),
        ("Write it down (after 2)", (2,)),
        ("Add the results of steps 1 to 3", (1, 2, 3)),
        ("Add steps 1-3", (1, 2, 3)),
        ("Compare results 1 through 3", (1, 2, 3)),
        ("Add steps 1 \u2013 2 and 3", (1, 2, 3)),
        ("Add the result of step 1 to 3", (1, 3)),
        ("Add step 1 to step 3", (1, 3)),
        ("Put all results together", (1, 2, 3)),
        ("Compare both numbers", (1, 2, 3)),
        ("Add 3 and 4", ()),
        ("Count to 3", ()),
        ("Use the result of step 9", (3,)),
        ("Say what time it is", ()),
    ],
)
def test_a_step_needs_what_its_words_name(step: str, needs: tuple[int, ...]) -> None:
    steps = as_steps(["First", "Second", "Third", step], ONE)
    assert steps[-1].depends_on == needs


def test_the_first_step_needs_nothing() -> None:
    (only,) = as_steps(["Double the result of step 1"], ONE)
    assert only.depends_on == ()


def test_steps_are_numbered_over_all_rounds() -> None:
    first = as_steps(["Find A", "Find B"], ONE)
    more = as_steps(["1. Find C", "Step 2: Find A", "Add it to the result of step 1"], ONE, first)
    assert [(s.number, s.title, s.depends_on) for s in more] == [
        (3, "Find C", ()),
        (4, "Add it to the result of step 1", (1,)),
    ]


@pytest.mark.parametrize("step", ["3.5 + 4", "Add 3.5 and 4", "10:30 plus 45 minutes"])
def test_a_number_at_its_beginning_is_no_step_s_number(step: str) -> None:
    assert [as_steps([said], ONE)[0].title for said in (step, f"1. {step}")] == [step, step]


def test_what_needs_another_result_is_no_repeat() -> None:
    steps = as_steps(["Take 3", "Double that number", "Double that number"], ONE)
    assert [(s.number, s.depends_on) for s in steps] == [(1, ()), (2, (1,)), (3, (2,))]


def test_numbers_are_those_that_the_planner_counted() -> None:
    said = ["Roll a die", "Roll a die", "Find B", "Add step 1 and step 3", "Double step 4"]
    steps = as_steps(said, ONE)
    assert [(s.number, s.title, s.depends_on) for s in steps] == [
        (1, "Roll a die", ()),
        (2, "Find B", ()),
        (3, "Add step 1 and step 3", (1, 2)),
        (4, "Double step 4", (3,)),
    ]
    again = as_steps(["Find A", "Find B", "Find A", "Double the result"], ONE)
    assert again[-1].depends_on == (1,)


def test_a_step_goes_to_whom_it_names_or_whose_words_it_has() -> None:
    agents = {**ONE, "painter": replace(ONE["executor"], name="painter", words=("Paint",))}
    said = ["painter: a house", "@Painter: a tree", "Please paint it", "Add: 3 and 4", "Find A"]
    assert [(s.agent, s.title) for s in as_steps(said, agents)] == [
        ("painter", "a house"),
        ("painter", "a tree"),
        ("painter", "Please paint it"),
        ("executor", "Add: 3 and 4"),
        ("executor", "Find A"),
    ]


def test_a_reason_names_steps_by_their_words_or_numbers() -> None:
    steps = as_steps(["Find A", "Find B", "Double the result of step 2"], ONE)
    assert [s.number for s in named_in("The step was not done right: find b.", steps)] == [2]
    assert [s.number for s in named_in("Steps 1 and 3 are wrong.", steps)] == [1, 3]
    assert [s.number for s in named_in("Steps 1 to 3 are wrong.", steps)] == [1, 2, 3]
    assert named_in("The tone is wrong.", steps) == []
    assert [s.number for s in with_dependents([steps[1]], steps)] == [2, 3]
    assert [s.number for s in with_dependents([steps[0]], steps)] == [1]


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("What is the capital of France?", 1),
        ("Salt and pepper", 1),
        ("Tell me a story about Ada and Bob.", 1),
        ("Add 3 and 4, then name the capital of Japan.", 2),
        ("Who are you? What can you do?", 2),
        ("Greet Ada, count to 4 and finally name the capital of Peru.", 3),
        ("- first thing\n- second thing", 2),
        ("", 0),
    ],
)
def test_a_question_has_parts(question: str, count: int) -> None:
    assert len(parts(question)) == count


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("My name is Oskar.", True),
        ("What is 2+2? My dog is called Rex.", True),
        ("The Berlin project ends in May", True),
        ("What is my name?", False),
        ("Add 3 and 4, then name the capital of Japan.", False),
        ("Please tell me a story. And then write another.", False),
        ("Is it so", False),
        ("", False),
    ],
)
def test_a_question_tells_nothing(message: str, told: bool) -> None:
    assert tells(message) is told


def test_the_settings_change_agents_and_add_executors() -> None:
    agents = team(
        {
            "critic": AgentSettings(model="large", temperature=0.3),
            "writer": AgentSettings(purpose="Writes", instructions="You write."),
        }
    )
    assert (agents["critic"].model, agents["critic"].temperature) == ("large", 0.3)
    assert agents["critic"].instructions == AGENTS["critic"].instructions
    assert agents["writer"].tools is None
    assert list(executors(agents)) == ["executor", "writer"]
    with pytest.raises(ConfigurationError, match=r"agents\.x\.instructions"):
        team({"x": AgentSettings(purpose="P")})
