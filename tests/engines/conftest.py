"""Every engine that speaks HTTP is put through the same faults."""

import pytest

from tests.engines.asking import WIRES, Wire


@pytest.fixture(params=WIRES, ids=str)
def wire(request: pytest.FixtureRequest) -> Wire:
    chosen: Wire = request.param
    return chosen
