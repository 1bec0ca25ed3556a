"""Three versions of the official client, unmodified, each by its own interpreter."""

from collections.abc import Callable

import pytest

from tests.assistants.clients.conftest import Walks
from tests.assistants.clients.walks.__main__ import walks
from tests.http.figures import State
from tests.servers.clients import VERSIONS

# The first test of a version takes all its walks, and may have to install it before.
pytestmark = pytest.mark.timeout(480)


@pytest.mark.parametrize("walk", walks())
@pytest.mark.parametrize("version", VERSIONS)
def test_the_client_works_unchanged(
    walked: Callable[[str], Walks], version: str, walk: str
) -> None:
    seen = walked(version)[walk]
    assert seen["failed"] is None, seen["failed"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_fits_the_client_s_own_types(
    walked: Callable[[str], Walks], version: str, state: State
) -> None:
    last = walked(version)[""]
    assert last["version"] == version
    checked = last["checked"]
    kinds = {"assistant", "assistant.deleted", "thread", "thread.deleted", "thread.message"}
    kinds |= {"thread.message.deleted", "thread.run", "thread.run.step", "list", "error"}
    assert kinds <= set(checked)
    state(f"openai {version}: {sum(checked.values())} answers and events validated")
