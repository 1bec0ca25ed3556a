"""One server before a scripted engine for all tests of this folder."""

from tests.http.conftest import door
from tests.http.figures import state

__all__ = ["door", "state"]
