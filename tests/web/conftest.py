"""A real browser before a real server with nova-tiny: one of each for every module."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.servers.nova import NovaServer, nova_server
from tests.web.browser import opened

# A busy machine is slow and not wrong.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NovaServer]:
    with nova_server(tmp_path_factory.mktemp("site")) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed with the module: its event loop must not be there while others run theirs."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        opened_browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened_browser
        opened_browser.close()


@pytest.fixture
def open_page(browser: Browser, site: NovaServer) -> Iterator[Callable[..., Page]]:
    """``open_page("/history", theme="dark")``: each call is a browser of its own (see ``opened``),
    closed and judged at the test's end."""
    with ExitStack() as stack:

        def open_one(path: str = "/", **how: object) -> Page:
            page, _ = stack.enter_context(opened(browser, f"{site.url}{path}", **how))  # type: ignore[arg-type]
            return page

        yield open_one


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The first page, light and wide."""
    return open_page("/")


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots lie, unless ``PAGES_SCREENSHOTS`` says otherwise."""
    return tmp_path / "screenshots"
