"""Asks in a real browser: steps as they happen, the answer, sessions, and what is remembered."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.http.doors import COMPLETIONS, Door, open_door
from tests.http.wire import ask
from tests.servers.answers import Sleep, Stall, json_answer, openai_stream
from tests.servers.nova import NovaServer, nova_server
from tests.servers.scripted import scripted_server
from tests.web.browser import axe_problems, opened, screenshots, scrolls_sideways
from tests.web.payloads import PAYLOADS
from tests.web.relay import relay

PATIENT = {"NOVA_HEARTBEAT_S": "5", "NOVA_BETWEEN_TOKENS_TIMEOUT_S": "60"}
SCRIPTED = {"id": "scripted", "object": "model", "created": 7, "owned_by": "vllm"}
TASK = "Add 2 and 3, then name the capital of France."


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("door"), PATIENT) as one:
        yield one


def put(page: Page, question: str, mode: str = "team") -> None:
    page.get_by_label("Mode", exact=True).select_option(mode)
    page.get_by_label("Question", exact=True).fill(question)
    page.keyboard.press("Enter")


def answered(page: Page, number: int) -> None:
    """Wait until so many asks are there as they are stored."""
    expect(page.locator("article.ask[data-stored]")).to_have_count(number, timeout=30_000)
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def test_a_team_at_work_from_the_question_to_the_answer(
    open_page: Callable[..., Page], site: NovaServer, shots: Path
) -> None:
    page = open_page("/ask")
    expect(page.get_by_role("heading", name="What is to be done?")).to_be_visible()
    assert axe_problems(page) == []
    screenshots(page, "ask-empty", shots)
    put(page, TASK)
    answered(page, 1)
    expect(page).to_have_url(re.compile(r"/ask/[0-9a-f-]{36}$"))
    steps = page.get_by_role("region", name="Steps")
    for agent in ("planner", "executor", "critic", "closer"):
        expect(steps.locator(".badge").filter(has_text=agent).first).to_be_visible()
    # The steps of the plan stand below the planner.
    expect(steps.locator("li > ul > li")).to_have_count(2)
    expect(steps.locator("li > ul > li").first).to_contain_text("1. Add 2 and 3")
    expect(steps).to_contain_text(re.compile(r"[\d.]+ (ms|s) · \d+ tokens"))
    answer = page.get_by_role("region", name="Answer")
    expect(answer).to_contain_text("Paris")
    expect(answer).to_contain_text(re.compile(r"\d+ tokens read · \d+ written · first after"))
    assert axe_problems(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe_problems(page) == []
    screenshots(page, "ask", shots)
    shown = answer.inner_text()
    page.reload()
    answered(page, 1)
    assert page.get_by_role("region", name="Answer").inner_text() == shown
    step = page.get_by_role("region", name="Steps").locator("summary").first
    step.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".plan li").first).to_be_visible()
    expect(page.get_by_role("navigation", name="Sessions")).to_contain_text("Add 2 and 3")


def test_a_session_goes_on_and_is_deleted(open_page: Callable[..., Page]) -> None:
    page = open_page("/ask")
    put(page, "My name is Ada.", "single")
    answered(page, 1)
    put(page, "What is my name?", "single")
    answered(page, 2)
    expect(page.get_by_role("region", name="Answer").last).to_contain_text("Ada")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile(r"/ask$"))
    expect(page.get_by_role("link", name=re.compile("My name is Ada"))).to_have_count(0)


def test_what_is_remembered_is_seen_found_and_erased(
    open_page: Callable[..., Page], shots: Path
) -> None:
    page = open_page("/ask")
    put(page, "My favourite colour is teal.", "single")
    answered(page, 1)
    page.get_by_role("link", name="What is remembered").click()
    row = page.get_by_role("listitem").filter(has_text="favourite colour is teal").first
    expect(row).to_be_visible()
    assert axe_problems(page) == []
    screenshots(page, "memory", shots)
    page.get_by_role("searchbox").fill("favourite colour")
    page.keyboard.press("Enter")
    expect(row).to_be_visible()
    expect(row).to_contain_text("found by")
    row.get_by_role("button", name=re.compile("Forget")).click()
    expect(page.get_by_text("favourite colour is teal")).to_have_count(0)
    page.get_by_role("searchbox").fill("zebra quartz")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing would be found for this.")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget everything").click()
    expect(page.get_by_text("Nothing is remembered yet.")).to_be_visible()
    assert axe_problems(page) == []


def test_an_ask_is_stopped_and_what_was_done_stays(browser: Browser, door: Door) -> None:
    door.answers([*openai_stream(["one ", "two "])[:4], Stall()])
    with opened(browser, f"http://127.0.0.1:{door.port}/ask") as (page, _):
        put(page, "Count.", "single")
        live = page.locator("article.ask .theirs .stream")
        expect(live).to_have_text(re.compile("one two"))
        page.get_by_role("button", name="Stop").click()
        answered(page, 1)
        expect(page.get_by_text("Stopped before it was done.")).to_be_visible()
        assert axe_problems(page) == []
    door.upstream.wait_for(lambda _: door.asked[0].client_left_at_ns, 5)


def test_an_ask_goes_on_over_a_lost_connection_and_in_a_second_window(
    browser: Browser, door: Door
) -> None:
    pieces = openai_stream(["one ", "two ", "three "])
    door.answers([*pieces[:3], Sleep(3), *pieces[3:]])
    with (
        relay(door.port) as line,
        opened(browser, f"http://127.0.0.1:{line.port}/ask") as (page, _),
    ):
        put(page, "Count.", "single")
        expect(page.locator("article.ask .theirs .stream")).to_contain_text("one")
        at = page.url.removeprefix(f"http://127.0.0.1:{line.port}")
        with opened(browser, f"http://127.0.0.1:{door.port}{at}") as (other, _):
            expect(other.locator("article.ask .theirs .stream")).to_contain_text("one")
            line.cut()
            expect(page.locator("#connection")).to_contain_text("connection is lost")
            line.mend()
            expect(page.locator("#connection")).to_be_hidden(timeout=20_000)
            for one in (page, other):
                answered(one, 1)
                expect(one.get_by_role("region", name="Answer")).to_contain_text("one two three")
    assert len(door.asked) == 1


def test_an_ask_goes_on_over_a_restart_of_the_server(browser: Browser, tmp_path: Path) -> None:
    with scripted_server() as engine:
        engine.on("GET", "/v1/models", json_answer(200, {"object": "list", "data": [SCRIPTED]}))
        pieces = openai_stream(["one ", "two ", "three "])
        engine.on("POST", COMPLETIONS, [*pieces[:3], Stall()], pieces)
        settings = {
            **PATIENT,
            "NOVA_EMBEDDED": "off",
            "NOVA_DEFAULT_MODEL": "scripted",
            "NOVA_OPENAI_URL": f"{engine.url}/v1",
            "NOVA_SHUTDOWN_TIMEOUT_S": "0",
        }
        with (
            nova_server(tmp_path, settings) as server,
            opened(browser, f"{server.url}/ask") as (page, _),
        ):
            put(page, "Count.", "single")
            live = page.locator("article.ask .theirs .stream")
            expect(live).to_contain_text("one")
            server.process.terminate()
            server.process.wait(30)
            expect(page.locator("#connection")).to_contain_text("connection is lost")
            expect(live).to_contain_text("one")
            expect(page.get_by_role("button", name="Stop")).to_be_visible()
            with nova_server(tmp_path, settings, ["--port", str(server.port)]):
                answered(page, 1)
                answer = page.get_by_role("region", name="Answer")
                expect(answer.locator(".prose")).to_have_text("one two three")
                expect(page.locator("#connection")).to_be_hidden()


def test_nothing_that_an_agent_writes_runs(browser: Browser, door: Door) -> None:
    plan = json.dumps({"steps": list(PAYLOADS[:6])})
    check = json.dumps({"ok": True, "reason": PAYLOADS[3]})
    rest = "\n\n".join(PAYLOADS)
    door.answers(
        openai_stream([plan]),
        *[openai_stream([payload]) for payload in PAYLOADS[:6]],
        openai_stream([check]),
        openai_stream([rest]),
    )
    with opened(browser, f"http://127.0.0.1:{door.port}/ask") as (page, _):
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.add_init_script("window.hits = []; window.fired = (...what) => window.hits.push(what)")
        page.reload()
        put(page, rest[:2000])
        answered(page, 1)
        page.reload()
        answered(page, 1)
        for summary in page.locator("details.step > summary").all():
            summary.click()
        page.wait_for_timeout(200)
        assert page.evaluate("window.hits") == []
        assert [url for url in requests if "fired" in url] == []
        assert page.locator(".ask :is(script, img, svg, iframe, style, form)").count() == 0


def test_what_is_refused_is_said_and_the_question_stays(browser: Browser, door: Door) -> None:
    with opened(browser, f"http://127.0.0.1:{door.port}/ask") as (page, _):
        page.evaluate(
            "document.querySelector('#model').add(new Option('gone', 'gone', true, true))"
        )
        put(page, "Hi.", "single")
        expect(page.get_by_role("alert").filter(has_text="gone")).to_contain_text("No model named")
        expect(page.get_by_label("Question", exact=True)).to_have_value("Hi.")


def test_it_fits_a_narrow_screen(open_page: Callable[..., Page]) -> None:
    page = open_page("/ask", size="narrow")
    assert not scrolls_sideways(page)
    put(page, TASK)
    answered(page, 1)
    assert not scrolls_sideways(page)
    assert axe_problems(page) == []
    page.goto("/ask/memory")
    assert not scrolls_sideways(page)


def test_another_ones_session_is_a_page_that_says_so(site: NovaServer) -> None:
    html = {"accept": "text/html"}
    none = "/ask/6f1c1f5e-0a4b-4d0e-9d3c-6b1f0e0f5a11"
    assert ask(site.port, "GET", none, headers=html).status == 404
    assert ask(site.port, "GET", "/ask/nothing", headers=html).status == 422
