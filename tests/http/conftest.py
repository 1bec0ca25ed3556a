"""One server before a scripted engine for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.http.doors import Door, open_door
from tests.http.figures import state

__all__ = ["door", "state"]


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("door")) as opened:
        yield opened
