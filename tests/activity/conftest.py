"""One server before a model that does what it is told, for most tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.activity.asking import told_door
from tests.http.doors import Door
from tests.http.figures import state

__all__ = ["door", "state"]


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with told_door(tmp_path_factory.mktemp("door")) as opened:
        yield opened
