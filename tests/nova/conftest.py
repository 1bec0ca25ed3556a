"""One server before a scripted team for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.http.doors import Door, open_door
from tests.http.wire import ask
from tests.nova.acting import Company

__all__ = ["company", "door"]


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("door")) as opened:
        yield opened


@pytest.fixture
def company(door: Door) -> Company:
    """The team of that server, with lines that lead to an answer, and nothing remembered."""
    ask(door.port, "DELETE", "/api/nova/memory")
    acting = Company(door.upstream)
    acting.plays()
    return acting
