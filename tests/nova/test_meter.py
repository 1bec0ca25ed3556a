"""CPU and memory of an agent's work, and what is said where nobody knows."""

from typing import Any

from novasystem.errors import ModelNotFound
from novasystem.nova.meter import Meter, Reading, used


class Gone:
    """A registry whose engine has gone meanwhile."""

    async def resolve(self, model: str) -> None:
        raise ModelNotFound(model, [])


async def test_an_engine_that_is_gone_leaves_them_unknown() -> None:
    registry: Any = Gone()
    watch: Any = None
    before = Reading(1.0, 1.0, 1.0, "engine")
    assert await Meter(registry, watch).since(before, "m") == (None, None, None)


def test_they_are_those_between_two_readings() -> None:
    before = Reading(10.0, 1.0, 50.0, "engine")
    assert used(before, Reading(12.0, 2.0, 60.0, "engine")) == (50.0, 60.0)
    assert used(before, Reading(12.0, 2.0, 60.0, "server")) == (None, 60.0)
