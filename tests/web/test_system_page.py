"""The system: engines, models that can be loaded and unloaded, running work, the machine."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chat.asking import CHAT, new_conversation
from tests.http.doors import open_door
from tests.http.wire import ask, eventually
from tests.servers.answers import Stall, openai_stream
from tests.servers.nova import NovaServer, nova_server
from tests.web.browser import axe_problems, opened, screenshots, scrolls_sideways


def test_models_are_listed_with_all_that_is_known(site: NovaServer) -> None:
    found = ask(site.port, "GET", "/api/models").json
    assert found["default_model"] == "nova-tiny"
    [model] = found["data"]
    assert (model["name"], model["engine"], model["loaded"]) == ("nova-tiny", "embedded", True)
    assert model["size_bytes"] > 1e6


def test_a_model_is_unloaded_and_loaded(site: NovaServer) -> None:
    for loaded, change in ((False, "unload"), (True, "load")):
        answer = ask(site.port, "POST", f"/api/models/nova-tiny/{change}")
        assert (answer.status, answer.json) == (200, {"name": "nova-tiny", "loaded": loaded})
        assert ask(site.port, "GET", "/api/models").json["data"][0]["loaded"] is loaded


def test_what_cannot_be_loaded_says_why(site: NovaServer, tmp_path: Path) -> None:
    answer = ask(site.port, "POST", "/api/models/nobody/load")
    assert (answer.status, answer.json["code"]) == (404, "model_not_found")
    with open_door(tmp_path) as door:
        for name in ("scripted", "org/named"):
            answer = ask(door.port, "POST", f"/api/models/{name}/load")
            assert (answer.status, answer.json["code"]) == (400, "invalid_request")
            assert "by itself" in answer.json["detail"]


def test_the_page_shows_what_there_is(open_page: Callable[..., Page], shots: Path) -> None:
    page = open_page("/system")
    engines = page.get_by_role("group", name="Engines")
    expect(engines).to_contain_text("embedded")
    expect(engines).to_contain_text("answers")
    models = page.get_by_role("group", name="Models")
    expect(models).to_contain_text("nova-tiny")
    expect(page.get_by_text("Nothing runs now.")).to_be_visible()
    for fact in ("Processor", "Memory", "SQLite", "Python"):
        expect(page.locator(".facts").filter(has_text=fact).first).to_be_visible()
    assert axe_problems(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe_problems(page) == []
    screenshots(page, "system", shots)


def test_a_model_is_unloaded_and_loaded_by_hand(open_page: Callable[..., Page]) -> None:
    page = open_page("/system")
    page.get_by_role("button", name="Unload nova-tiny").press("Enter")
    again = page.get_by_role("button", name="Load nova-tiny")
    expect(again).to_be_enabled()
    expect(again).to_be_focused()
    again.press("Enter")
    expect(page.get_by_role("button", name="Unload nova-tiny")).to_be_enabled()


def test_running_work_is_seen_and_cancelled(browser: Browser, tmp_path: Path) -> None:
    with open_door(tmp_path, {"NOVA_BETWEEN_TOKENS_TIMEOUT_S": "60"}) as door:
        door.answers([*openai_stream(["slow"])[:3], Stall()])
        conversation = new_conversation()
        body = {"message": "Hi.", "conversation_id": conversation}
        begun = ask(door.port, "POST", CHAT, body, {"prefer": "respond-async"}).json
        with opened(browser, f"http://127.0.0.1:{door.port}/system") as (page, _):
            work = page.get_by_role("group", name="Running work")
            expect(work).to_contain_text(begun["run_id"])
            expect(work.get_by_role("link", name="Chat")).to_have_attribute(
                "href", re.compile(conversation)
            )
            work.get_by_role("button", name=f"Cancel {begun['run_id']}").click()
            expect(page.get_by_text("Nothing runs now.")).to_be_visible(timeout=30_000)
        eventually(lambda: door.asked[0].client_left_at_ns)


def test_an_engine_that_is_down_says_what_to_try(browser: Browser, tmp_path: Path) -> None:
    down = {"NOVA_OPENAI_URL": "http://127.0.0.1:9/v1", "NOVA_EMBEDDED": "off"}
    with (
        nova_server(tmp_path, down) as server,
        opened(browser, f"{server.url}/system") as (page, _),
    ):
        row = page.get_by_role("row").filter(has_text="openai")
        expect(row).to_contain_text("does not answer", timeout=15_000)
        expect(page.get_by_text("No model answers now.")).to_be_visible()
        assert axe_problems(page) == []


def test_the_page_recovers_from_a_server_that_went_away(browser: Browser, tmp_path: Path) -> None:
    with (
        nova_server(tmp_path) as server,
        opened(browser, f"{server.url}/system", allow=["htmx"]) as (page, _),
    ):
        expect(page.get_by_role("group", name="Models")).to_contain_text("nova-tiny")
        server.process.terminate()
        server.process.wait(30)
        lost = page.locator("#connection")
        expect(lost).to_be_visible(timeout=15_000)
        with nova_server(tmp_path, None, ["--port", str(server.port)]):
            expect(lost).to_be_hidden(timeout=15_000)
            page.get_by_role("button", name="Unload nova-tiny").click()
            expect(page.get_by_role("button", name="Load nova-tiny")).to_be_visible()


def test_it_fits_a_narrow_screen(open_page: Callable[..., Page]) -> None:
    page = open_page("/system", size="narrow")
    expect(page.get_by_role("group", name="Models")).to_contain_text("nova-tiny")
    assert not scrolls_sideways(page)
    assert axe_problems(page) == []


@pytest.mark.parametrize("path", ["/system", "/system/now"])
def test_it_is_there_at_once(site: NovaServer, path: str) -> None:
    answer = ask(site.port, "GET", path)
    assert answer.status == 200
    assert len(answer.body) < 60_000
