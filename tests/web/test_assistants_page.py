"""Assistants in a real browser: made, changed, tried, run with functions, looked at, deleted."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.http.doors import Door, open_door
from tests.http.wire import ask
from tests.servers.answers import Stall, openai_stream
from tests.servers.nova import NovaServer
from tests.web.browser import axe_problems, opened, screenshots, scrolls_sideways
from tests.web.payloads import PAYLOADS
from tests.web.relay import relay

PATIENT = {"NOVA_HEARTBEAT_S": "5", "NOVA_BETWEEN_TOKENS_TIMEOUT_S": "60"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Gets the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("door"), PATIENT) as one:
        yield one


def made(port: int, **more: object) -> str:
    body = {"model": "nova-tiny", "name": "Analyst", **more}
    found: str = ask(port, "POST", "/v1/assistants", body).json["id"]
    return found


def run(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def answered(page: Page, number: int) -> None:
    expect(page.locator(".message.theirs[data-id]")).to_have_count(number, timeout=30_000)
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def test_an_assistant_from_its_making_to_its_end(
    open_page: Callable[..., Page], site: NovaServer, shots: Path
) -> None:
    page = open_page("/assistants")
    expect(page.get_by_text("Assistants that you make are kept here.")).to_be_visible()
    assert axe_problems(page) == []
    screenshots(page, "assistants-empty", shots)
    page.get_by_label("Name").fill("Market analyst")
    page.get_by_label("Instructions").fill("Answer in one sentence.")
    page.get_by_text("More: description").click()
    page.get_by_label("Temperature").fill("0.2")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", name="Market analyst")).to_be_visible()
    found = ask(site.port, "GET", f"/v1/assistants/{page.url.rpartition('/')[2]}").json
    assert (found["name"], found["temperature"]) == ("Market analyst", 0.2)
    assert (found["instructions"], found["model"]) == ("Answer in one sentence.", "nova-tiny")
    expect(page.get_by_text("It has not been run yet.")).to_be_visible()
    run(page, "What is 2+3?")
    answered(page, 1)
    expect(page.locator(".message.theirs")).to_contain_text("5")
    expect(page).to_have_url(re.compile(r"\?thread=thread_"))
    table = page.get_by_role("group", name="Runs")
    expect(table).to_contain_text("completed")
    run(page, "What is 4+4?")
    answered(page, 2)
    page.reload()
    answered(page, 2)
    assert axe_problems(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe_problems(page) == []
    screenshots(page, "assistant", shots)
    page.get_by_label("Name").fill("Analyst of markets")
    page.get_by_role("button", name="Keep the changes").click()
    expect(page.locator("#toasts").get_by_text("The changes are kept.")).to_be_visible()
    expect(page.get_by_role("link", name="Analyst of markets")).to_be_visible()
    table.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Run of Analyst of markets")).to_be_visible()
    expect(page.get_by_text("An answer")).to_be_visible()
    events = page.get_by_role("group", name="Events")
    for kind in ("status", "message_begun", "text", "message_ended"):
        expect(events.get_by_role("rowheader", name=kind, exact=True).first).to_be_visible()
    assert axe_problems(page) == []
    screenshots(page, "run", shots)
    page.get_by_role("link", name="Its thread").click()
    answered(page, 2)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile(r"/assistants$"))
    assert ask(site.port, "GET", f"/v1/assistants/{found['id']}").status == 404


def test_what_does_not_fit_is_said_and_stays(open_page: Callable[..., Page]) -> None:
    page = open_page("/assistants")
    page.get_by_text("More: description").click()
    page.get_by_label("Functions").fill("[{")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("alert").first).to_contain_text("not valid JSON")
    page.get_by_label("Functions").fill('[{"type": "unknown"}]')
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("alert").first).to_contain_text("tools")
    expect(page.get_by_label("Functions")).to_have_value('[{"type": "unknown"}]')
    assert axe_problems(page) == []


def test_a_format_that_was_given_elsewhere_is_kept(
    open_page: Callable[..., Page], site: NovaServer
) -> None:
    schema = {"name": "city", "schema": {"type": "object", "properties": {}}}
    given = {"type": "json_schema", "json_schema": schema}
    assistant = made(site.port, response_format=given)
    before = ask(site.port, "GET", f"/v1/assistants/{assistant}").json["response_format"]
    page = open_page(f"/assistants/{assistant}")
    expect(page.get_by_label("Answers").locator(":checked")).to_contain_text("json_schema")
    page.get_by_label("Name").fill("Cities")
    page.get_by_role("button", name="Keep the changes").click()
    expect(page.locator("#toasts").get_by_text("The changes are kept.")).to_be_visible()
    kept = ask(site.port, "GET", f"/v1/assistants/{assistant}").json
    assert (kept["name"], kept["response_format"]) == ("Cities", before)
    assert before["json_schema"]["schema"] == schema["schema"]


def test_a_run_that_calls_a_function_waits_for_its_output(
    open_page: Callable[..., Page], site: NovaServer
) -> None:
    assistant = made(site.port, tools=[WEATHER])
    page = open_page(f"/assistants/{assistant}")
    expect(page.get_by_label("Functions")).to_have_value(re.compile("get_weather"))
    run(page, "What is the weather in Rome?")
    output = page.get_by_label(re.compile("Output of get_weather"))
    expect(output).to_be_focused(timeout=20_000)
    assert axe_problems(page) == []
    output.fill("sunny, 25 degrees")
    page.get_by_role("button", name="Give the outputs").click()
    answered(page, 1)
    expect(page.get_by_role("group", name="Runs")).to_contain_text("completed")
    page.get_by_role("group", name="Runs").get_by_role("link").first.click()
    expect(page.locator(".tool")).to_contain_text("sunny")


def test_a_run_is_stopped_and_goes_on_in_a_second_window(browser: Browser, door: Door) -> None:
    door.answers([*openai_stream(["one ", "two "])[:4], Stall()])
    assistant = made(door.port, model="scripted")
    base = f"http://127.0.0.1:{door.port}"
    with opened(browser, f"{base}/assistants/{assistant}") as (page, _):
        run(page, "Count.")
        expect(page.locator(".message.theirs > div > .stream")).to_contain_text("one two")
        with opened(browser, f"{base}{page.url.removeprefix(base)}") as (other, _):
            expect(other.locator(".message.theirs > div > .stream")).to_contain_text("one two")
            page.get_by_role("button", name="Stop").click()
            for one in (page, other):
                answered(one, 1)
                expect(one.get_by_text("Stopped before it was whole.")).to_be_visible()
    door.upstream.wait_for(lambda _: door.asked[0].client_left_at_ns, 5)


def test_the_page_of_a_run_outlives_its_connection_and_its_assistant(
    browser: Browser, door: Door
) -> None:
    door.answers([*openai_stream(["one ", "two "])[:4], Stall()])
    assistant = made(door.port, model="scripted")
    thread = ask(door.port, "POST", "/v1/threads", {}).json["id"]
    begun = ask(door.port, "POST", f"/v1/threads/{thread}/runs", {"assistant_id": assistant}).json
    with (
        relay(door.port) as line,
        opened(
            browser,
            f"http://127.0.0.1:{line.port}/assistants/{assistant}/runs/{begun['id']}",
            allow=["htmx:sendError"],
        ) as (page, _),
    ):
        state = page.locator(".figure-tile").filter(has_text="State")
        expect(state).to_contain_text("running")
        line.cut()
        lost = page.locator("#connection")
        expect(lost).to_contain_text("connection is lost")
        # Twice more it is asked in vain.
        page.wait_for_timeout(4500)
        expect(page.locator(".toast")).to_have_count(0)
        expect(lost.locator(".notice")).to_have_count(1)
        line.mend()
        expect(lost).to_be_hidden()
        assert ask(door.port, "DELETE", f"/v1/assistants/{assistant}").status == 200
        page.reload()
        expect(page.get_by_role("heading", name="Run of a deleted assistant")).to_be_visible()
        ask(door.port, "POST", f"/api/runs/{begun['id']}/cancel")
        expect(state).to_contain_text("cancelled")
        expect(page.locator(".toast")).to_have_count(0)


def test_nothing_that_a_model_or_a_name_says_runs(browser: Browser, door: Door) -> None:
    rest = "\n\n".join(PAYLOADS)
    door.answers(openai_stream([rest]))
    assistant = made(door.port, model="scripted", name=PAYLOADS[3], instructions=rest)
    with opened(browser, f"http://127.0.0.1:{door.port}/assistants/{assistant}") as (page, _):
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.add_init_script("window.hits = []; window.fired = (...what) => window.hits.push(what)")
        page.reload()
        run(page, rest[:3000])
        answered(page, 1)
        page.reload()
        answered(page, 1)
        page.get_by_role("group", name="Runs").get_by_role("link").first.click()
        expect(page.get_by_role("group", name="Events")).to_be_visible()
        assert page.evaluate("window.hits") == []
        assert [url for url in requests if "fired" in url] == []


def test_it_fits_a_narrow_screen(open_page: Callable[..., Page], site: NovaServer) -> None:
    page = open_page(f"/assistants/{made(site.port)}", size="narrow")
    run(page, "What is 2+3? " + "x" * 200)
    answered(page, 1)
    assert not scrolls_sideways(page)
    assert axe_problems(page) == []
    page.get_by_role("group", name="Runs").get_by_role("link").first.click()
    expect(page.get_by_role("group", name="Events")).to_be_visible()
    assert not scrolls_sideways(page)


def test_what_is_not_there_is_a_page_that_says_so(site: NovaServer) -> None:
    html = {"accept": "text/html"}
    here = made(site.port)
    other = made(site.port)
    thread = ask(site.port, "POST", "/v1/threads", {}).json["id"]
    run_id = ask(site.port, "POST", f"/v1/threads/{thread}/runs", {"assistant_id": here}).json["id"]
    for path in (
        "/assistants/asst_none",
        "/assistants/x%00",
        f"/assistants/{here}?thread=none",
        f"/assistants/{here}/runs/run_none",
        f"/assistants/{other}/runs/{run_id}",
    ):
        assert ask(site.port, "GET", path, headers=html).status == 404, path
    assert ask(site.port, "GET", f"/assistants/{here}/runs/{run_id}", headers=html).status == 200
