"""Figures that a test states: shown in its run whether or not it passes."""

from typing import Protocol

import pytest

__all__ = ["State", "state"]


class State(Protocol):
    def __call__(self, figure: str) -> None: ...


@pytest.fixture
def state(request: pytest.FixtureRequest) -> State:
    plugins = request.config.pluginmanager
    reporter = plugins.get_plugin("terminalreporter")
    capture = plugins.get_plugin("capturemanager")

    def say(figure: str) -> None:
        if reporter is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(f"  {request.node.name}: {figure}")

    return say
