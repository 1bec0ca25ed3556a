"""Which part of a thread is shown, whatever the thread: by its rules, checked from outside."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from novasystem.threads.records import Item, ItemKind
from novasystem.turns.fitting import PER_MESSAGE, Fitted, estimate, fit

_numbers = itertools.count(1)


def item(kind: ItemKind, content: str, tokens: int | None, exact: bool) -> Item:
    number = next(_numbers)
    return Item(
        number, f"i{number}", 1, number, kind, "user" if kind == "message" else None, content,
        "completed", None, 0, 0, None, tokens, exact and tokens is not None, None, None, None,
        None, None, {},
    )  # fmt: skip


kinds: st.SearchStrategy[ItemKind] = st.sampled_from(["message", "tool_call", "tool_result"])
threads = st.lists(
    st.builds(item, kinds, st.text(max_size=40), st.none() | st.integers(0, 50), st.booleans()),
    max_size=25,
)
budgets = st.none() | st.integers(0, 400)
counts = st.none() | st.integers(1, 10)


def cost(one: Item) -> int:
    known = estimate(one.content) if one.token_count is None else one.token_count
    return PER_MESSAGE + known


def first_unit(shown: Fitted) -> int:
    """How many items the oldest shown unit has."""
    if not shown.items or shown.items[0].kind == "message":
        return min(1, len(shown.items))
    return len(list(itertools.takewhile(lambda one: one.kind != "message", shown.items)))


@settings(max_examples=500, deadline=None)
@given(threads, budgets, counts)
def test_what_is_shown_is_the_newest_part_and_nothing_is_lost_silently(
    thread: list[Item], budget: int | None, last: int | None
) -> None:
    shown = fit(thread, budget, last)
    assert shown.left_out + len(shown.items) == len(thread)
    assert list(shown.items) == thread[shown.left_out :]
    assert bool(shown.items) == bool(thread)
    assert shown.tokens == sum(map(cost, shown.items))
    assert shown.exact == all(one.token_count_exact for one in shown.items)


@settings(max_examples=500, deadline=None)
@given(threads, budgets, counts)
def test_a_call_is_never_shown_without_its_results(
    thread: list[Item], budget: int | None, last: int | None
) -> None:
    shown = fit(thread, budget, last)
    if shown.left_out > 0 and shown.items[0].kind != "message":
        assert thread[shown.left_out - 1].kind == "message"


@settings(max_examples=500, deadline=None)
@given(threads, budgets, counts)
def test_the_limits_are_kept_and_used(
    thread: list[Item], budget: int | None, last: int | None
) -> None:
    shown = fit(thread, budget, last)
    messages = sum(one.kind == "message" for one in shown.items)
    # The newest unit is shown in any case.
    if len(shown.items) > first_unit(shown):
        assert budget is None or shown.tokens <= budget
        assert last is None or messages <= last
    if shown.left_out:
        # One more unit would have been too much.
        older = thread[: shown.left_out]
        more = [older[-1]]
        if more[0].kind != "message":
            more = list(itertools.takewhile(lambda one: one.kind != "message", reversed(older)))
        too_long = budget is not None and shown.tokens + sum(map(cost, more)) > budget
        too_many = last is not None and messages + (more[0].kind == "message") > last
        assert too_long or too_many


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_an_estimate_is_rather_too_high(text: str) -> None:
    assert estimate(text) * 3 >= len(text.encode("utf-8", "replace"))
    assert estimate(text) >= len(text) / 4
