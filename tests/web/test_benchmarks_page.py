"""The page of benchmarks, as a person uses it: run, watch, cancel, look, come back."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.http.doors import COMPLETIONS, Door, open_door
from tests.servers.answers import openai_stream
from tests.servers.nova import NovaServer, nova_server
from tests.web.asking import ask_json, begin, ended, measured
from tests.web.browser import axe_problems, opened, screenshots, scrolls_sideways
from tests.web.payloads import PAYLOADS

OpenPage = Callable[..., Page]
LONG = 3000
"""Repetitions that nobody waits for the end of."""
SLOW_MS = 60_000


def choose(page: Page, model: str = "nova-tiny") -> None:
    page.get_by_label(model).check()


def more(page: Page, repetitions: int) -> None:
    page.get_by_text("More: repetitions").click()
    page.get_by_label("Repetitions").fill(str(repetitions))


def cancel_all(url: str) -> None:
    for one in ask_json("GET", f"{url}/api/benchmarks/history?status=running&status=queued"):
        ask_json("POST", f"{url}/api/benchmarks/{one['id']}/cancel")
        ended(url, one["id"])


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server before an engine that says what the test wants."""
    with open_door(tmp_path_factory.mktemp("door")) as opened_door:
        yield opened_door


def test_a_first_run_takes_two_clicks(page: Page, site: NovaServer) -> None:
    run = page.get_by_role("button", name="Run", exact=True)
    expect(run).to_be_disabled()
    expect(page.get_by_text("Nothing has been measured yet.")).to_be_visible()
    assert page.get_by_label("Prompt").input_value()
    choose(page)
    run.click()
    live = page.locator("[data-run]")
    expect(live).to_be_visible()
    expect(live).to_be_in_viewport()
    result = page.locator("#result [data-benchmark]")
    expect(result).to_be_visible(timeout=SLOW_MS)
    expect(result.get_by_role("row", name="nova-tiny").first).to_be_visible()
    expect(live.locator(".badge").first).to_have_text("completed")
    expect(page.locator("#recent .entry")).to_have_count(1)
    for chart in ("share of requests", "Where the time of a request goes", "Output tokens"):
        expect(result.locator("figcaption", has_text=chart).first).to_be_visible()
    expect(result.locator(".figures dt", has_text="Parallel speed-up")).to_be_visible()
    expect(result.locator(".prose")).not_to_be_empty()


def test_all_models_run_with_one_click(page: Page) -> None:
    page.get_by_label("Sequential").check()
    page.get_by_role("button", name="Select all & run").click()
    result = page.locator("#result [data-benchmark]")
    expect(result).to_be_visible(timeout=SLOW_MS)
    expect(result.locator(".badge", has_text="sequential").first).to_be_visible()
    # What is only a parallel benchmark's is not given to it.
    expect(result.locator(".figures dt", has_text="Parallel speed-up")).to_have_count(0)
    expect(result.get_by_text("has no parallel speed-up")).to_be_visible()


def test_what_goes_on_is_seen_as_it_happens(page: Page, site: NovaServer, shots: Path) -> None:
    choose(page)
    more(page, LONG)
    page.get_by_role("button", name="Run", exact=True).click()
    live = page.locator("[data-run]")
    column = live.get_by_role("region", name="nova-tiny", exact=True)
    expect(column.locator(".badge")).to_have_text("generating")
    expect(column.locator(".said")).not_to_be_empty()
    expect(column.locator("dd").nth(0)).to_contain_text("s")
    expect(column.locator("dd").nth(2)).to_contain_text(f"of {LONG}")
    before = column.locator("dd").nth(2).text_content()
    expect(column.locator("dd").nth(2)).not_to_have_text(before or "")
    expect(live.locator(".curve canvas")).to_have_count(2)
    expect(live.get_by_text("left")).to_be_visible()
    assert page.locator("[data-run] progress").get_attribute("value")
    screenshots(page, "benchmarks-live", shots)
    assert axe_problems(page) == []

    live.get_by_role("button", name="Cancel").click()
    expect(live.locator(".badge").first).to_have_text("cancelled", timeout=SLOW_MS)
    result = page.locator("#result [data-benchmark]")
    expect(result.locator(".badge", has_text="cancelled")).to_be_visible()
    # What had arrived is kept.
    expect(result.locator("tbody td.number").nth(4)).not_to_have_text("0")


def test_enter_runs_and_shift_enter_does_not(page: Page) -> None:
    choose(page)
    prompt = page.get_by_label("Prompt")
    prompt.fill("What is 1+1?")
    prompt.press("Shift+Enter")
    assert prompt.input_value() == "What is 1+1?\n"
    expect(page.locator("[data-run]")).to_have_count(0)
    prompt.press("Enter")
    expect(page.locator("[data-run]")).to_have_count(1)
    expect(page.locator("#result [data-benchmark]")).to_be_visible(timeout=SLOW_MS)


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.get_by_label("Prompt").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_label("nova-tiny")).to_be_focused()
    page.keyboard.press("Space")
    run = page.get_by_role("button", name="Run", exact=True)
    expect(run).to_be_enabled()
    for _ in range(6):
        page.keyboard.press("Tab")
        if run.evaluate("one => one === document.activeElement"):
            break
    expect(run).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#result [data-benchmark]")).to_be_visible(timeout=SLOW_MS)
    entry = page.locator("#recent .entry").first
    entry.focus()
    page.keyboard.press("Enter")
    # The keyboard goes where the entry opens.
    expect(page.locator("#result")).to_be_focused()
    expect(page.locator("#result")).to_be_in_viewport()


def test_what_cannot_be_run_is_said_before_and_after(page: Page, site: NovaServer) -> None:
    run = page.get_by_role("button", name="Run", exact=True)
    choose(page)
    page.get_by_label("Prompt").fill("   ")
    expect(run).to_be_disabled()
    expect(page.get_by_text("Write a prompt first.")).to_be_visible()
    most = int(page.locator("#bench-form").get_attribute("data-most") or 0)
    page.get_by_label("Prompt").fill("x" * (most + 1))
    expect(run).to_be_disabled()
    expect(page.locator("#counter")).to_have_text(f"{most + 1:,} of {most:,} characters")
    page.get_by_label("Prompt").fill("What is 1+1?")

    # A model that went away after the page was loaded.
    page.locator("input[name=models]").evaluate("box => { box.value = 'gone' }")
    run.click()
    error = page.locator("#form-error")
    expect(error).to_contain_text("gone")
    expect(error).to_contain_text("nova-tiny")
    expect(run).to_be_enabled()
    page.locator("input[name=models]").evaluate("box => { box.value = 'nova-tiny' }")

    page.get_by_text("More: repetitions").click()
    page.get_by_role("button", name="Add a check").click()
    page.get_by_label("What must be true of the answer").select_option("regex")
    page.get_by_label("Value of the check").fill("(")
    run.click()
    expect(error).to_contain_text("checks")
    page.get_by_label("Repetitions").fill("0")
    page.get_by_label("Remove this check").click()
    run.click()
    expect(error).to_contain_text("repetitions")
    expect(page.locator("[data-run]")).to_have_count(0)


def test_load_and_checks_are_part_of_it(page: Page, site: NovaServer) -> None:
    choose(page)
    page.get_by_label("Prompt").fill("What is 2+3?")
    page.get_by_text("More: repetitions").click()
    expect(page.get_by_label("At once")).to_be_hidden()
    page.get_by_label("Load").select_option("concurrent")
    page.get_by_label("At once").fill("2")
    page.get_by_label("Requests", exact=True).fill("6")
    page.get_by_role("button", name="Add a check").click()
    page.get_by_label("Value of the check").fill("5")
    page.get_by_role("button", name="Run", exact=True).click()
    result = page.locator("#result [data-benchmark]")
    expect(result.get_by_role("heading", name="Checks of nova-tiny")).to_be_visible(timeout=SLOW_MS)
    benchmark_id = result.get_attribute("data-benchmark")
    found = ask_json("GET", f"{site.url}/api/benchmarks/history/{benchmark_id}")
    assert found["plan"]["load"] == {"kind": "concurrent", "concurrency": 2, "requests": 6}
    assert found["plan"]["checks"][0]["value"] == "5"


def test_every_open_browser_sees_it(open_page: OpenPage, site: NovaServer) -> None:
    here, there = open_page("/"), open_page("/")
    before = there.locator("#recent .entry").count()
    choose(here)
    more(here, LONG)
    here.get_by_role("button", name="Run", exact=True).click()
    for page in (here, there):
        expect(page.locator("[data-run] .said")).not_to_be_empty()
    entries = there.locator("#recent .entry")
    expect(entries).to_have_count(min(8, before + 1))
    late = open_page("/")
    expect(late.locator("[data-run] .said")).not_to_be_empty()
    there.locator("[data-run]").get_by_role("button", name="Cancel").click()
    for page in (here, there, late):
        status = page.locator("[data-run] .badge").first
        expect(status).to_have_text("cancelled", timeout=SLOW_MS)


def test_a_result_that_is_read_is_not_taken_away(page: Page, site: NovaServer) -> None:
    first = measured(site.url)
    page.reload()
    page.locator(f'[data-entry="{first}"]').click()
    shown = page.locator("#result [data-benchmark]")
    expect(shown).to_have_attribute("data-benchmark", first)
    expect(page).to_have_url(f"{site.url}/?open={first}")
    second = begin(site.url)
    card = page.locator(f'[data-run="{second}"]')
    show = card.get_by_role("button", name="Show the result")
    expect(show).to_be_visible(timeout=SLOW_MS)
    expect(shown).to_have_attribute("data-benchmark", first)
    show.click()
    expect(shown).to_have_attribute("data-benchmark", second)


def test_a_page_recovers_with_its_server(tmp_path: Path, browser: Browser) -> None:
    """What went on goes on after the restart, and the page with it."""
    with nova_server(tmp_path) as server:
        url, port = server.url, server.port
        context = opened(browser, url, allow=("ERR_", "Failed to fetch", "htmx:sendError"))
        page, _ = context.__enter__()
        choose(page)
        page.get_by_text("More: repetitions").click()
        page.get_by_label("Repetitions").fill(str(LONG))
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("[data-run] .said")).not_to_be_empty()
        # Nothing it does can be clean: the process is killed.
        server.process.kill()
        server.process.wait()
    expect(page.get_by_text("The connection is lost; trying again.").first).to_be_visible()
    page.get_by_role("button", name="Select all & run").click()
    expect(page.locator("#form-error")).to_contain_text("The server does not answer.")
    with nova_server(tmp_path, arguments=["--port", str(port)]) as again:
        assert again.port == port
        expect(page.locator("#connection")).to_be_hidden(timeout=SLOW_MS)
        count = page.locator("[data-run] dd").nth(2)
        expect(page.locator("[data-run] .badge").first).to_have_text("running", timeout=SLOW_MS)
        before = count.text_content()
        expect(count).not_to_have_text(before or "", timeout=SLOW_MS)
        page.locator("[data-run]").get_by_role("button", name="Cancel").click()
        expect(page.locator("[data-run] .badge").first).to_have_text("cancelled", timeout=SLOW_MS)
        context.__exit__(None, None, None)


def test_a_failed_model_is_told_beside_the_others(door: Door, browser: Browser) -> None:
    story = openai_stream([f"word{number} " for number in range(20)], pause_s=0.02)

    broken = openai_stream(["half"], finish=None, done=False, keep_alive=False)
    door.upstream.asks(
        "POST", COMPLETIONS, lambda seen: story if seen.json["model"] == "scripted" else broken
    )
    with opened(browser, door.server.url) as (page, _):
        page.get_by_role("button", name="Select all & run").click()
        result = page.locator("#result [data-benchmark]")
        expect(result).to_be_visible(timeout=SLOW_MS)
        expect(result.locator(".badge").first).to_have_text("in part")
        expect(result.get_by_role("region", name="Answer of scripted")).to_contain_text("word19")
        expect(result.get_by_role("region", name="Answer of org/named")).to_contain_text(
            "without a finish"
        )


def test_nothing_that_a_model_writes_runs(door: Door, browser: Browser) -> None:
    """Neither live, nor in the result, nor in a list, nor beside another answer."""
    texts = [f"{payload}\n\n" for payload in PAYLOADS]
    door.upstream.asks("POST", COMPLETIONS, lambda _: openai_stream(texts, pause_s=0.005))
    fired: list[str] = []
    with opened(browser, door.server.url) as (page, watched):
        page.expose_function("fired", lambda: fired.append(page.url))

        def on_dialog(dialog: Dialog) -> None:
            fired.append(dialog.message)
            dialog.dismiss()

        page.on("dialog", on_dialog)
        page.reload()
        page.get_by_label("Prompt").fill(" ".join(PAYLOADS[:6]))
        page.get_by_label("scripted", exact=False).first.check()
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("[data-run] .said")).to_contain_text("fired")
        result = page.locator("#result [data-benchmark]")
        expect(result.locator(".prose")).to_contain_text("fired", timeout=SLOW_MS)
        for link in result.locator(".prose a").all():
            target = link.get_attribute("href")
            assert target is None or re.match("(https?|mailto):", target), target
        first = result.get_attribute("data-benchmark")
        second = measured(door.server.url, models=["scripted"], prompt=PAYLOADS[0])
        for path in (f"/benchmarks/{first}", f"/compare?ids={first},{second}", "/history"):
            page.goto(f"{door.server.url}{path}")
            expect(page.get_by_text("<script>fired()").first).to_be_attached()
        page.wait_for_timeout(200)
        assert [address for address in watched.sizes if "fired" in address.partition("?")[0]] == []
    assert fired == []


def test_a_result_has_a_page_of_its_own_and_can_be_taken_along(
    page: Page, site: NovaServer
) -> None:
    benchmark_id = measured(site.url)
    page.goto(f"{site.url}/benchmarks/{benchmark_id}")
    expect(page.get_by_role("heading", name="What is 2+3?")).to_be_visible()
    for label, ending in (
        ("JSON", ".json"),
        ("CSV", ".csv"),
        ("Markdown", ".md"),
        ("HTML", ".html"),
    ):
        with page.expect_download() as download:
            page.get_by_role("link", name=label, exact=True).click()
        assert download.value.suggested_filename == f"{benchmark_id}{ending}"
        assert Path(download.value.path()).stat().st_size > 0
    delete = page.get_by_role("button", name="Delete")
    delete.click()
    page.get_by_role("button", name="Really delete it").click()
    expect(page.get_by_text("The benchmark is deleted.")).to_be_visible()
    page.goto(f"{site.url}/benchmarks/{benchmark_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
    page.goto(f"{site.url}/?open={benchmark_id}")
    expect(page.get_by_role("alert").first).to_contain_text(benchmark_id)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_fit_for_all(open_page: OpenPage, site: NovaServer, theme: str, shots: Path) -> None:
    benchmark_id = measured(site.url, checks=[{"kind": "contains", "value": "5"}])
    page = open_page("/", theme=theme)
    if theme == "light":
        screenshots(page, "benchmarks", shots)
    page.get_by_text("More: repetitions").click()
    page.get_by_role("button", name="Add a check").click()
    assert axe_problems(page) == []
    page.goto(f"/?open={benchmark_id}")
    for summary in page.locator("details > summary").all():
        summary.click()
    assert axe_problems(page) == []
    if theme == "light":
        screenshots(page, "benchmarks-result", shots)
    page.set_viewport_size({"width": 360, "height": 740})
    assert not scrolls_sideways(page)


def test_with_no_model_it_says_what_to_do(tmp_path: Path, browser: Browser) -> None:
    with (
        nova_server(tmp_path, {"NOVA_EMBEDDED": "off"}) as server,
        opened(browser, server.url) as (page, _),
    ):
        expect(page.get_by_text("No model answers now.")).to_be_visible()
        expect(page.get_by_role("button", name="Select all & run")).to_be_disabled()
        assert axe_problems(page) == []


@pytest.fixture(autouse=True)
def nothing_goes_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a benchmark to the next one, also where it fails."""
    yield
    if "site" in request.fixturenames:
        cancel_all(request.getfixturevalue("site").url)
