"""The page of comparisons: figures with verdicts, what was not the same, answers and their
differences."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from novasystem.web.view_models.compare import marked
from tests.servers.nova import NovaServer
from tests.web.asking import measured
from tests.web.browser import axe_problems, screenshots, scrolls_sideways

OpenPage = Callable[..., Page]
SAME = {"prompt": "Tell me a short story.", "repetitions": 6}


@pytest.fixture(scope="module")
def three(site: NovaServer) -> list[str]:
    """Parallel, sequential, and one that draws its tokens otherwise."""
    plans: list[dict[str, object]] = [
        {"mode": "parallel", "parameters": {"temperature": 0}},
        {"mode": "sequential", "parameters": {"temperature": 0}},
        {"mode": "parallel", "parameters": {"temperature": 1.5, "seed": 7}},
    ]
    return [measured(site.url, **SAME, **plan) for plan in plans]


def test_two_are_held_beside_each_other(open_page: OpenPage, three: list[str]) -> None:
    page = open_page(f"/compare?ids={three[0]},{three[1]},{three[2]}")
    expect(page.locator(".side")).to_have_count(3)
    conditions = page.locator(
        "section", has=page.get_by_role("heading", name="What was not the same")
    )
    expect(conditions.get_by_role("row", name="mode")).to_contain_text("sequential")
    expect(conditions.get_by_role("row", name="parameters: temperature")).to_contain_text("1.5")
    figures = page.get_by_role("group", name="Figures of nova-tiny", exact=True)
    row = figures.get_by_role("row", name="Time to first token")
    expect(row.locator("td")).to_have_count(3)
    expect(row.locator(".badge")).to_have_count(2)
    # What is only a parallel benchmark's is not given to the sequential one.
    speed_up = page.get_by_role("row", name="Parallel speed-up").locator("td")
    expect(speed_up.nth(1)).to_have_text("-")
    expect(speed_up.nth(0)).not_to_have_text("-")
    answers = page.locator(".answers").first
    expect(answers.locator(".stream").nth(0).locator("ins, del")).to_have_count(0)
    assert answers.locator(".stream").nth(2).locator("ins, del").count() > 0


def test_what_cannot_be_compared_is_said(open_page: OpenPage, three: list[str]) -> None:
    page = open_page("/compare")
    expect(page.get_by_text("Nothing is chosen yet.")).to_be_visible()
    assert axe_problems(page) == []
    for ids, said in (
        (three[0], "two or more"),
        (f"{three[0]},bench_none", "bench_none"),
        (f"{three[0]},<script>", "cannot be the id"),
        (",".join(f"b{number}" for number in range(11)), "At most 10"),
    ):
        page.goto(f"/compare?ids={ids}")
        expect(page.get_by_role("alert").first).to_contain_text(said)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_fit_for_all(open_page: OpenPage, three: list[str], theme: str, shots: Path) -> None:
    page = open_page(f"/compare?ids={','.join(three)}", theme=theme)
    for summary in page.locator("details > summary").all():
        summary.click()
    assert axe_problems(page) == []
    if theme == "light":
        screenshots(page, "compare", shots)
    page.set_viewport_size({"width": 360, "height": 740})
    assert not scrolls_sideways(page)


@pytest.mark.parametrize(
    ("base", "text"),
    [
        ("the cat sat", "the dog sat"),
        ("", "something"),
        ("something", ""),
        ("one two  three\n", "one  two three"),
        ("naïve 🦊, fox.", "naïve 🐻; fox!"),
    ],
)
def test_marks_hold_both_texts(base: str, text: str) -> None:
    pieces = marked(base, text)
    assert "".join(piece for kind, piece in pieces if kind != "del") == text
    assert "".join(piece for kind, piece in pieces if kind != "ins") == base
    assert all(piece for _, piece in pieces)
