"""The queue before an engine: bounded, fair, and without holes where waiters left."""

import asyncio

import pytest

from novasystem.engines.gate import Gate
from novasystem.errors import Overloaded

LONG_S = 30.0


class Visitor:
    """One request: inside from the moment it is let in until it is told to leave."""

    def __init__(self, gate: Gate, wait_s: float = LONG_S) -> None:
        self.inside = asyncio.Event()
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(gate, wait_s))

    async def _visit(self, gate: Gate, wait_s: float) -> None:
        await gate.enter(wait_s)
        try:
            self.inside.set()
            await self.leave.wait()
        finally:
            gate.leave()

    async def go(self) -> None:
        self.leave.set()
        await self.task


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def visitors(gate: Gate, number: int) -> list[Visitor]:
    found = [Visitor(gate) for _ in range(number)]
    await settled()
    return found


def inside(found: list[Visitor]) -> list[int]:
    return [number for number, visitor in enumerate(found) if visitor.inside.is_set()]


async def test_no_more_than_allowed_are_inside_and_the_rest_come_in_their_order() -> None:
    gate = Gate("e", 2, 10)
    found = await visitors(gate, 6)
    assert (inside(found), gate.active, gate.queued) == ([0, 1], 2, 4)
    for number, next_in in [(1, 2), (0, 3), (3, 4), (2, 5)]:
        await found[number].go()
        await settled()
        assert inside(found)[-1] == next_in
        assert gate.active == 2
    await found[4].go()
    await found[5].go()
    assert (gate.active, gate.queued) == (0, 0)


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_again() -> None:
    gate = Gate("far", 1, 2)
    found = await visitors(gate, 3)
    with pytest.raises(Overloaded, match=r"'far' is busy: 1 requests run and 2 wait") as refusal:
        await Visitor(gate).task
    assert refusal.value.retry_after_s > 0
    assert "max_queued" in refusal.value.hint
    for visitor in found:
        await visitor.go()
    assert gate.active == 0


async def test_without_a_queue_the_second_is_refused() -> None:
    gate = Gate("e", 1, 0)
    [first] = await visitors(gate, 1)
    with pytest.raises(Overloaded):
        await Visitor(gate).task
    await first.go()
    await Visitor(gate).go()


async def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    gate = Gate("e", 1, 10)
    found = await visitors(gate, 2)
    found[0].leave.set()
    late = Visitor(gate)
    await settled()
    assert found[1].inside.is_set()
    assert not late.inside.is_set()
    await found[1].go()
    await late.go()


async def test_waiting_has_a_limit() -> None:
    gate = Gate("e", 1, 10)
    [first] = await visitors(gate, 1)
    with pytest.raises(Overloaded, match=r"no place .* within 0.05 s"):
        await Visitor(gate, 0.05).task
    assert (gate.active, gate.queued) == (1, 0)
    await first.go()
    assert gate.active == 0


async def test_those_who_left_the_queue_leave_no_hole() -> None:
    gate = Gate("e", 1, 3)
    found = await visitors(gate, 4)
    for number in (1, 2):
        found[number].task.cancel()
    await settled()
    assert gate.queued == 1
    more = await visitors(gate, 2)
    await found[0].go()
    await settled()
    assert found[3].inside.is_set()
    for visitor in (found[3], *more):
        await visitor.go()
    assert (gate.active, gate.queued) == (0, 0)


async def test_a_turn_that_comes_to_one_who_is_just_leaving_goes_to_the_next() -> None:
    gate = Gate("e", 1, 3)
    found = await visitors(gate, 3)
    found[0].leave.set()
    await found[0].task
    # It has been given its turn and does not know it yet.
    found[1].task.cancel()
    await settled()
    assert found[2].inside.is_set()
    assert gate.active == 1
    await found[2].go()
    assert gate.active == 0


async def test_a_storm_with_departures_ends_with_everything_at_rest() -> None:
    gate = Gate("e", 3, 50)
    most = 0

    async def visit(number: int) -> None:
        nonlocal most
        await gate.enter(0.05 if number % 7 == 0 else LONG_S)
        try:
            most = max(most, gate.active)
            await asyncio.sleep(0.002 * (number % 3))
        finally:
            gate.leave()

    tasks = [asyncio.create_task(visit(number)) for number in range(100)]
    await asyncio.sleep(0.01)
    for task in tasks[::5]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(one) for one in done} <= {type(None), Overloaded, asyncio.CancelledError}
    assert most == 3
    assert (gate.active, gate.queued) == (0, 0)
