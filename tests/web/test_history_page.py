"""The page of history: filters, order, fifty pages, each model over time, choosing."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.servers.nova import NovaServer, isolated_environment, nova_server
from tests.web.asking import measured
from tests.web.browser import axe_problems, opened, screenshots, scrolls_sideways

OpenPage = Callable[..., Page]
KEPT = 1251
"""Fifty pages of 25, and one more."""


def old(number: int) -> dict[str, Any]:
    """As the older design wrote them; every tenth failed."""
    fails = number % 10 == 0
    day, hour = divmod(number, 24)
    at = f"2024-{1 + day // 28:02}-{1 + day % 28:02}T{hour:02}:00:00+00:00"
    result = {
        "model": "llama3.2" if number % 2 else "qwen3",
        "success": not fails,
        "error": "It did not answer." if fails else None,
        "timestamp": at,
        "timing": {"time_to_first_token": 0.1 + number / 1e4, "total_time": 2 + number / 1e3},
        "throughput": {"total_chunks": 40, "total_bytes": 5000},
        "response": f"answer {number}",
    }
    return {
        "id": f"old-{number:04}",
        "timestamp": at,
        "status": "failed" if fails else "completed",
        "mode": "sequential",
        "prompt": f"question{number} about foxes" if number % 3 else f"question{number} of bears",
        "results": [result],
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NovaServer]:
    """A server whose history was taken in from the older design's files."""
    folder = tmp_path_factory.mktemp("site")
    files = folder / "old"
    files.mkdir()
    for number in range(KEPT):
        (files / f"benchmark_{number:05}.json").write_text(json.dumps(old(number)))
    subprocess.run(
        [sys.executable, "-m", "novasystem", "bench", "import", str(files)],
        env=isolated_environment(folder),
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=120,
    )
    with nova_server(folder) as server:
        yield server


def rows(page: Page) -> list[str]:
    return page.locator("#list tbody .what a").all_text_contents()


def test_fifty_pages_one_after_the_other(open_page: OpenPage) -> None:
    page = open_page("/history")
    seen: set[str] = set()
    for number in range(1, 52):
        counted = page.locator("#list nav [role=status]")
        expect(counted).to_contain_text(f"page {number} of 51")
        found = set(
            page.locator("#list input[name=ids]").evaluate_all("all => all.map(x => x.value)")
        )
        assert not seen & found
        seen |= found
        if number < 51:
            page.get_by_role("link", name="Next page").click()
    assert len(seen) == KEPT
    expect(page.get_by_role("link", name="Next page")).to_have_count(0)
    # Back is back, and an address is a page.
    page.go_back()
    expect(page.locator("#list nav [role=status]")).to_contain_text("page 50 of 51")
    page.reload()
    expect(page.locator("#list nav [role=status]")).to_contain_text("page 50 of 51")
    page.goto("/history?page=999")
    expect(page.get_by_text("There is no such page.")).to_be_visible()
    page.get_by_role("link", name="To the last one").click()
    expect(page.locator("#list nav [role=status]")).to_contain_text("page 51 of 51")


def test_filters_narrow_and_go_together(open_page: OpenPage) -> None:
    page = open_page("/history")
    counted = page.locator("#list nav [role=status]")
    page.get_by_label("Text").fill("bears")
    expect(counted).to_contain_text("of 417")
    page.get_by_label("Outcome").select_option("bad")
    expect(counted).to_contain_text("of 42")
    page.get_by_label("From").fill("2024-01-05")
    both = re.compile(r"/api/benchmarks/history\?.*since=.*until=")
    with page.expect_response(both) as over_time:
        page.get_by_label("To", exact=True).fill("2024-01-09")
    assert over_time.value.headers["x-total-count"] == "4"
    page.get_by_role("button", name="Filter").click()
    expect(counted).to_contain_text("of 4,")
    assert all("bears" in row for row in rows(page))
    page.reload()
    expect(counted).to_contain_text("of 4,")
    expect(page.get_by_label("Text")).to_have_value("bears")
    page.get_by_label("Text").fill("no such word")
    expect(page.get_by_text("Nothing is under these filters.")).to_be_visible()
    page.get_by_role("link", name="Show everything").click()
    expect(counted).to_contain_text(f"of {KEPT:,}")
    page.goto("/history?model=qwen3")
    expect(counted).to_contain_text("of 626")
    page.goto("/history?since=never")
    expect(page.get_by_role("alert").first).to_contain_text("'never' is not a day")
    page.goto("/history?text=...")
    expect(page.get_by_role("alert").first).to_contain_text("no word")


def test_the_order_turns(open_page: OpenPage) -> None:
    page = open_page("/history")
    page.get_by_label("Text").fill("foxes")
    expect(page.locator("#list nav [role=status]")).to_contain_text("of 834")
    head = page.get_by_role("columnheader", name="TTFT")
    head.get_by_role("link").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert rows(page)[0] == "question1 about foxes"
    head.get_by_role("link").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert rows(page)[0] == "question1250 about foxes"
    # The next filter keeps the order.
    page.get_by_label("Outcome").select_option("good")
    expect(page.locator("#list nav [role=status]")).to_contain_text("of 750")
    expect(head).to_have_attribute("aria-sort", "descending")


def test_each_model_over_time(open_page: OpenPage) -> None:
    page = open_page("/history")
    trend = page.locator("#trend")
    expect(trend.locator("canvas")).to_be_visible()
    expect(trend).to_have_attribute(
        "aria-label", "Time to first token of llama3.2, qwen3 over 270 benchmarks"
    )
    page.get_by_label("Figure").select_option("total")
    expect(trend).to_have_attribute(
        "aria-label", "Total time of llama3.2, qwen3 over 270 benchmarks"
    )
    table = page.locator(".summary table")
    expect(table.get_by_role("row", name="llama3.2").first).to_be_visible()
    expect(table).to_contain_text("400 of 500")


def test_what_is_chosen_stays_chosen_over_pages(open_page: OpenPage) -> None:
    page = open_page("/history")
    compare = page.get_by_role("button", name="Compare")
    expect(compare).to_be_hidden()
    page.locator("input[name=ids]").nth(0).check()
    expect(compare).to_be_disabled()
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("#list nav [role=status]")).to_contain_text("page 2 of 51")
    page.locator("input[name=ids]").nth(3).check()
    expect(page.get_by_text("2 are chosen.")).to_be_visible()
    compare.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare")
    page.goto("/history")
    expect(page.locator("input[name=ids]").nth(0)).to_be_checked()
    page.get_by_role("button", name="Choose none").click()
    expect(page.locator("input[name=ids]").nth(0)).not_to_be_checked()
    expect(compare).to_be_hidden()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_fit_for_all(open_page: OpenPage, theme: str, shots: Path) -> None:
    page = open_page("/history", theme=theme)
    expect(page.locator(".summary table")).to_be_visible()
    expect(page.locator("#trend canvas")).to_be_visible()
    if theme == "light":
        screenshots(page, "history", shots)
    page.locator("input[name=ids]").nth(0).check()
    assert axe_problems(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert not scrolls_sideways(page)


def test_an_empty_history_says_what_to_do(tmp_path: Path, browser: Browser) -> None:
    with nova_server(tmp_path) as server:
        with opened(browser, f"{server.url}/history") as (page, _):
            expect(page.get_by_text("Nothing has been measured yet.")).to_be_visible()
            assert axe_problems(page) == []
            page.get_by_role("link", name="Run the first benchmark").click()
            expect(page.get_by_role("button", name="Select all & run")).to_be_visible()
        measured(server.url)
        with opened(browser, f"{server.url}/history") as (page, _):
            expect(page.get_by_text("A line needs two benchmarks")).to_be_visible()
