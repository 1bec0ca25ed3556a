"""One server before a scripted engine for most tests of this folder, asked as a user would."""

from collections.abc import Iterator

import pytest

from tests.assistants.asking import Asker
from tests.http.doors import Door, open_door
from tests.http.figures import state

__all__ = ["asker", "door", "state"]


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("door")) as opened:
        yield opened


@pytest.fixture
def asker(door: Door) -> Asker:
    return Asker(door)
