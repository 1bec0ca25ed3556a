"""Pages as a person's browser shows them: what they complain of, and what they look like."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

__all__ = ["Watched", "axe_problems", "opened", "screenshots", "scrolls_sideways"]

Theme = Literal["light", "dark"]
_AXE = Path(__file__).parent / "vendor" / "axe.min.js"
_OWN_LINES = re.compile("Failed to load resource|htmx:(sendAbort|afterRequest)")
WIDTHS = {"wide": (1280, 900), "narrow": (360, 740)}


@dataclass
class Watched:
    """What a page's console and network have told. ``sizes``: bytes on the wire, by address."""

    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def watch(self, page: Page, origin: str) -> None:
        def on_console(message: ConsoleMessage) -> None:
            # A refused request is told by the page itself, and one that was left off with a page
            # that was left is none of it: these lines are the browser's and htmx's own.
            if message.type == "error" and not _OWN_LINES.match(message.text):
                self.complaints.append(message.text)

        def on_request(request: Request) -> None:
            target = urlsplit(request.url)
            if target.scheme not in {"data", "blob"} and target.netloc != origin:
                self.foreign.append(request.url)

        def on_response(response: Response) -> None:
            length = response.headers.get("content-length")
            if length is not None:
                self.sizes[response.url] = int(length)

        page.on("console", on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", on_request)
        page.on("response", on_response)


@contextmanager
def opened(
    browser: Browser,
    url: str,
    *,
    theme: Theme = "light",
    size: Literal["wide", "narrow"] = "wide",
    allow: Sequence[str] = (),
) -> Iterator[tuple[Page, Watched]]:
    """A page of a browser of its own, at ``url``; relative addresses are below it.

    At its end there must have been no error in the console (but those that match one of
    ``allow``), no breach of the page's policy, and no request to anywhere else.
    """
    width, height = WIDTHS[size]
    context: BrowserContext = browser.new_context(
        base_url=url,
        color_scheme=theme,
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
    )
    context.set_default_timeout(30_000)
    watched = Watched()
    try:
        page = context.new_page()
        watched.watch(page, urlsplit(url).netloc)
        page.goto(url)
        yield page, watched
    finally:
        context.close()
    wrong = [text for text in watched.complaints if not any(re.search(one, text) for one in allow)]
    assert not wrong, wrong
    assert not watched.foreign, watched.foreign


def axe_problems(page: Page) -> list[str]:
    """What axe finds serious or critical, one line each."""
    page.evaluate(_AXE.read_text())
    found: dict[str, Any] = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for rule in found["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than the window."""
    return bool(page.evaluate("() => document.documentElement.scrollWidth > innerWidth"))


def screenshots(page: Page, name: str, folder: Path) -> None:
    """``name`` in light, dark and narrow, into the folder that ``PAGES_SCREENSHOTS`` names, or
    else into ``folder``; how the page stood before is restored."""
    kept = Path(os.environ.get("PAGES_SCREENSHOTS") or folder)
    kept.mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    for theme, size in (("light", "wide"), ("dark", "wide"), ("light", "narrow")):
        width, height = WIDTHS[size]
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("() => scrollTo(0, 0)")
        page.wait_for_timeout(150)
        ending = theme if size == "wide" else "narrow"
        page.screenshot(path=kept / f"{name}-{ending}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    if before is not None:
        page.set_viewport_size(before)
