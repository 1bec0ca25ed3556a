"""What one request asks, out of the plan alone."""

from typing import Any

import pytest

from novasystem.benchmarks.plan import (
    Conversation,
    Matrix,
    Parameters,
    Phase,
    Plan,
    Prompt,
    Prompts,
    Synthetic,
    Trace,
    TracedRequest,
    Workload,
)
from novasystem.benchmarks.workloads import Ask, Words, lengths, request, size
from tests.benchmarks.loads import plan

LLAMA = frozenset({"cache_prompt", "ignore_eos"})


class Texts:
    def prompt(self, tokens: int, seed: str) -> str:
        return f"{tokens} {seed}"

    def deep(self, depth: int, tokens: int, seed: str) -> tuple[str, str]:
        return f"{depth} {seed}", f"{depth} {seed} and {tokens}"


def words(workload: Workload, options: frozenset[str] = LLAMA, **more: Any) -> Words:
    return Words(plan(workload=workload, **more), "id", options, Texts())


def said(ask: Ask) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in ask.messages]


TRACE = Trace(
    requests=(
        TracedRequest(at_s=0, prompt="a", output_tokens=4),
        TracedRequest(at_s=1, prompt_tokens=8),
    )
)
MATRIX = Matrix(prompt_tokens=(10, 20), output_tokens=(1, 2, 3), depths=(0, 100))


@pytest.mark.parametrize(
    ("workload", "requests", "made"),
    [
        (Prompt(prompt="a"), 1, []),
        (Prompts(prompts=("a", "b")), 2, []),
        (Synthetic(prompt_tokens=9, output_tokens=1, prompts=3), 3, [(0, 9)]),
        (MATRIX, 12, [(0, 10), (0, 20), (100, 10), (100, 20)]),
        (Conversation(turns=("a", "b", "c")), 3, []),
        (TRACE, 2, [(0, 8)]),
    ],
)
def test_size_and_lengths(workload: Workload, requests: int, made: list[tuple[int, int]]) -> None:
    assert size(workload) == requests
    assert sorted(lengths(workload)) == made


@pytest.mark.parametrize("phase", ["cold", "warm", "cached"])
def test_a_users_words_are_never_altered(phase: Phase) -> None:
    """Or another prompt would be judged, and equal ones not agree."""
    for block in range(3):
        ask = words(Prompt(prompt="2+2?", system="Short.")).ask(phase, block, block)
        assert said(ask) == [("system", "Short."), ("user", "2+2?")]


def test_the_cache_is_left_out_where_it_can_be() -> None:
    prompt = Prompt(prompt="a")
    assert words(prompt).ask("warm", 0, 0).options == {"cache_prompt": False}
    assert words(prompt).ask("cached", 0, 0).options == {}
    assert words(prompt, frozenset()).ask("warm", 0, 0).options == {}
    own = Parameters(options={"cache_prompt": True, "n_keep": 3})
    assert words(prompt, parameters=own).ask("warm", 0, 0).options == own.options


def test_a_cached_prompt_is_asked_before() -> None:
    ask = words(Prompt(prompt="a")).ask("cached", 0, 0)
    assert ask.prime == ask.messages
    assert words(Prompt(prompt="a")).ask("warm", 0, 0).prime is None


def test_prompts_come_round() -> None:
    asks = [words(Prompts(prompts=("a", "b"))).ask("warm", 0, number) for number in range(3)]
    assert [(ask.item, ask.messages[0].content) for ask in asks] == [(0, "a"), (1, "b"), (0, "a")]


def test_made_up_prompts_differ_unless_cached() -> None:
    made = words(Synthetic(prompt_tokens=9, output_tokens=5, prompts=2))
    places = [(block, number) for block in range(2) for number in range(4)]
    warm = {said(made.ask("warm", *place))[0] for place in places}
    assert len(warm) == 8
    assert not warm & {said(made.ask("cold", *place))[0] for place in places}
    assert len({said(made.ask("cached", *place))[0] for place in places}) == 2
    again = words(Synthetic(prompt_tokens=9, output_tokens=5, prompts=2))
    assert again.ask("warm", 1, 3) == made.ask("warm", 1, 3)


def test_targets() -> None:
    ask = words(Synthetic(prompt_tokens=9, output_tokens=5)).ask("warm", 0, 0)
    assert (ask.prompt_target_tokens, ask.output_target_tokens, ask.depth_tokens) == (9, 5, 0)
    assert ask.options == {"cache_prompt": False, "ignore_eos": True}
    asked = request(plan(parameters=Parameters(max_tokens=99)), "m", ask)
    assert asked.sampling.max_tokens == 5


def test_every_combination_of_a_matrix_once() -> None:
    made = words(MATRIX)
    asks = [made.ask("warm", 0, number) for number in range(12)]
    found = {(ask.depth_tokens, ask.prompt_target_tokens, ask.output_target_tokens) for ask in asks}
    assert len(found) == 12
    assert (100, 120, 3) in found
    assert (0, 10, 1) in found


def test_a_depth_lies_in_the_cache() -> None:
    deep = next(
        ask for n in range(12) if (ask := words(MATRIX).ask("warm", 0, n)).depth_tokens == 100
    )
    assert deep.prime is not None
    assert deep.messages[0].content.startswith(deep.prime[0].content)
    assert "cache_prompt" not in deep.options
    asked = request(plan(), "m", deep, prime=True)
    assert (asked.messages, asked.sampling.max_tokens) == (deep.prime, 1)


def test_the_turns_of_a_conversation() -> None:
    made = words(Conversation(turns=("a", "b"), system="s"))
    first, second = made.ask("warm", 0, 0), made.ask("warm", 0, 1, ["A"])
    assert said(first) == [("system", "s"), ("user", "a")]
    assert said(second) == [*said(first), ("assistant", "A"), ("user", "b")]
    assert [(ask.item, ask.turn) for ask in (first, second)] == [(0, 0), (0, 1)]
    # What was said before lies in the cache, as in any conversation.
    assert (first.options, second.options) == ({"cache_prompt": False}, {})


def test_a_trace() -> None:
    made = words(TRACE)
    first, second = made.ask("warm", 0, 0), made.ask("warm", 0, 1)
    assert (first.messages[0].content, first.output_target_tokens) == ("a", 4)
    assert (second.prompt_target_tokens, second.output_target_tokens) == (8, None)


def test_parameters_and_limits_reach_the_engine() -> None:
    parameters = Parameters(temperature=0, seed=7, stop=("x",), think="low", max_tokens=3)
    limits = {"request_s": 9, "first_token_s": 8, "between_tokens_s": 7}
    what: Plan = plan(parameters=parameters, limits=limits)
    asked = request(what, "m", Words(what, "id", frozenset()).ask("warm", 0, 0))
    assert asked.sampling.given() == {
        "temperature": 0,
        "seed": 7,
        "stop": ("x",),
        "max_tokens": 3,
    }
    assert asked.think == "low"
    assert (asked.limits.total_s, asked.limits.first_token_s) == (9, 8)
    assert asked.limits.between_tokens_s == 7
