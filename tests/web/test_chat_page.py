"""Chat in a real browser: answers as they come, stopped, anew, edited, kept, and taken up again."""

import itertools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.http.doors import Door, open_door
from tests.http.wire import ask
from tests.servers.answers import Hold, Sleep, Stall, openai_stream
from tests.servers.nova import NovaServer, nova_server
from tests.web.browser import axe_problems, opened, screenshots, scrolls_sideways
from tests.web.payloads import PAYLOADS
from tests.web.relay import relay

PATIENT = {"NOVA_HEARTBEAT_S": "5", "NOVA_BETWEEN_TOKENS_TIMEOUT_S": "60"}
HELLO = "What is 2+3?"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server before an engine whose words a test decides."""
    with open_door(tmp_path_factory.mktemp("door"), PATIENT) as one:
        yield one


@pytest.fixture
def open_door_page(browser: Browser, door: Door) -> Iterator[Callable[..., Page]]:
    with browser_pages(browser, f"http://127.0.0.1:{door.port}") as open_one:
        yield open_one


@contextmanager
def browser_pages(browser: Browser, url: str) -> Iterator[Callable[..., Page]]:
    with ExitStack() as stack:

        def open_one(path: str = "/chat", **how: object) -> Page:
            page, _ = stack.enter_context(opened(browser, f"{url}{path}", **how))  # type: ignore[arg-type]
            return page

        yield open_one


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def answers(page: Page, number: int) -> None:
    """Wait until so many answers are there as they are stored."""
    expect(page.locator(".message.theirs[data-id]")).to_have_count(number)
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def texts(page: Page) -> list[str]:
    return [
        text.strip() for text in page.locator(".message .stream, .message .prose").all_inner_texts()
    ]


def test_a_conversation_from_its_first_word(
    open_page: Callable[..., Page], site: NovaServer, shots: Path
) -> None:
    page = open_page("/chat")
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    assert axe_problems(page) == []
    screenshots(page, "chat-empty", shots)
    say(page, HELLO)
    answers(page, 1)
    expect(page).to_have_url(re.compile(r"/chat/[0-9a-f-]{36}$"))
    assert texts(page)[0] == HELLO
    assert "5" in texts(page)[1]
    figures = page.locator(".message.theirs footer .hint").inner_text()
    assert re.search(r"\d+ tokens · first after [\d.]+ (ms|s)", figures)
    expect(page.get_by_role("navigation", name="Conversations")).to_contain_text(HELLO)
    say(page, "Tell me a short story about a cat.")
    answers(page, 2)
    shown = texts(page)
    page.reload()
    answers(page, 2)
    assert texts(page) == shown
    assert axe_problems(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe_problems(page) == []
    screenshots(page, "chat", shots)


def test_a_turn_anew_and_a_message_that_is_edited(open_page: Callable[..., Page]) -> None:
    page = open_page("/chat")
    say(page, HELLO)
    answers(page, 1)
    say(page, "What is 4+4?")
    answers(page, 2)
    former = page.locator(".message.theirs[data-id]").last.get_attribute("data-id")
    page.get_by_role("button", name="Retry this answer").last.click()
    expect(page.locator(f'.message[data-id="{former}"]')).to_have_count(0)
    expect(page.locator(".message.mine[data-id]")).to_have_count(2)
    answers(page, 2)
    expect(page.locator(".message")).to_have_count(4)
    assert [text for text in texts(page)[::2]] == [HELLO, "What is 4+4?"]
    # What came after it would go with it: that is asked first.
    with page.expect_event("dialog") as asked:
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.get_by_role("button", name="Retry this answer").first.click()
    assert "makes room" in asked.value.message
    answers(page, 2)
    page.get_by_role("button", name="Edit this message").first.click()
    box = page.get_by_label("Your message, to be changed")
    expect(box).to_be_focused()
    box.press("Escape")
    expect(box).to_be_hidden()
    expect(page.get_by_role("button", name="Edit this message").first).to_be_focused()
    page.keyboard.press("Enter")
    box.fill("What is 1+1?")
    box.press("Enter")
    expect(page.locator(".message.mine")).to_have_count(1)
    answers(page, 1)
    assert texts(page)[0] == "What is 1+1?"
    page.reload()
    answers(page, 1)
    assert texts(page)[0] == "What is 1+1?"


def test_a_conversation_is_named_and_deleted(open_page: Callable[..., Page]) -> None:
    page = open_page("/chat")
    say(page, "Name the capital of France.")
    answers(page, 1)
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name of the conversation").fill("Capitals")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Capitals")).to_be_visible()
    entry = page.get_by_role("link", name="Capitals")
    expect(entry).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile(r"/chat$"))
    expect(entry).to_have_count(0)


def test_what_is_asked_for_reaches_the_engine(
    open_door_page: Callable[..., Page], door: Door
) -> None:
    door.answers(openai_stream(["one"]))
    page = open_door_page()
    page.get_by_text("Parameters").click()
    page.get_by_label("System text").fill("Be brief.")
    page.get_by_label("Temperature").fill("0.3")
    page.get_by_label("Longest answer").fill("12")
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Model", exact=True).select_option("org/named")
    say(page, "Hi.")
    answers(page, 1)
    asked = door.asked[0].json
    assert asked["model"] == "org/named"
    assert (asked["temperature"], asked["max_tokens"], asked["seed"]) == (0.3, 12, 7)
    assert [message["content"] for message in asked["messages"]] == ["Be brief.", "Hi."]
    page.reload()
    expect(page.get_by_label("Model", exact=True)).to_have_value("org/named")
    page.get_by_text("Parameters").click()
    expect(page.get_by_label("System text")).to_have_value("Be brief.")
    expect(page.get_by_label("Temperature")).to_have_value("0.3")
    page.get_by_label("Temperature").fill("9")
    page.get_by_label("Message", exact=True).fill("More")
    page.keyboard.press("Enter")
    expect(page.locator(".message.mine")).to_have_count(1)


def test_an_answer_comes_word_by_word_is_stopped_and_kept(
    open_door_page: Callable[..., Page], door: Door
) -> None:
    pieces = openai_stream(["one ", "two "])
    door.answers([*pieces[:4], Stall()])
    page = open_door_page()
    say(page, "Count.")
    answer = page.locator(".message.theirs > div > .stream")
    expect(answer).to_have_text("one two ", use_inner_text=False)
    expect(page.get_by_role("button", name="Send")).to_be_hidden()
    # A second window sees it too, from its beginning.
    other = open_door_page(page.url.removeprefix(f"http://127.0.0.1:{door.port}"))
    expect(other.locator(".message.theirs > div > .stream")).to_contain_text("one two")
    page.get_by_role("button", name="Stop").click()
    answers(page, 1)
    answers(other, 1)
    assert texts(page) == ["Count.", "one two"]
    expect(page.get_by_text("Stopped before it was whole.")).to_be_visible()
    assert door.asked[0].client_left_at_ns or door.upstream.wait_for(
        lambda _: door.asked[0].client_left_at_ns, 5
    )
    door.answers(openai_stream(["whole"]))
    page.get_by_role("button", name="Retry this answer").click()
    expect(page.locator(".message.theirs .prose")).to_have_text("whole")


def test_nothing_jumps_while_an_answer_comes(
    open_door_page: Callable[..., Page], door: Door
) -> None:
    """Twenty lines, eight more for each look, and the end after the last one."""
    steps = openai_stream([f"line {number}\n\n" for number in range(60)])
    looks = [threading.Event() for _ in range(6)]
    more = [
        [Hold(look), *steps[at : at + 8]] for look, at in zip(looks, range(22, 70, 8), strict=True)
    ]
    door.answers([*steps[:22], *itertools.chain.from_iterable(more)])
    page = open_door_page()
    say(page, "Long.")
    stream = page.locator(".message.theirs > div > .stream")
    expect(stream).to_contain_text("line 19")
    page.evaluate("scrollTo(0, 0)")
    tops = set[float]()
    for number, look in enumerate(looks[:5]):
        look.set()
        expect(stream).to_contain_text(f"line {27 + 8 * number}")
        box = page.locator(".message.mine").bounding_box()
        assert box is not None
        tops.add(box["y"])
    assert len(tops) == 1
    looks[-1].set()
    answers(page, 1)


def test_nothing_that_a_model_writes_runs(open_door_page: Callable[..., Page], door: Door) -> None:
    page = open_door_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.add_init_script("window.hits = []; window.fired = (...what) => window.hits.push(what)")
    page.reload()
    batches = [PAYLOADS[start : start + 13] for start in range(0, len(PAYLOADS), 13)]
    for number, batch in enumerate(batches, 1):
        door.answers(openai_stream([f"{payload}\n\n" for payload in batch]))
        say(page, "\n".join(batch))
        answers(page, number)
    page.reload()
    answers(page, len(batches))
    for element in page.locator(".message.theirs a").all():
        element.hover()
    page.wait_for_timeout(300)
    assert page.evaluate("window.hits") == []
    assert [url for url in requests if "fired" in url] == []
    assert page.locator(".message :is(script, img, svg, iframe, style, form, object)").count() == 0
    title = page.locator("#title")
    expect(title).to_contain_text("<script>")


def test_what_is_refused_is_said_and_what_was_written_stays(
    open_door_page: Callable[..., Page], door: Door
) -> None:
    page = open_door_page()
    page.evaluate("document.querySelector('#model').add(new Option('gone', 'gone', true, true))")
    say(page, "Hi.")
    expect(page.get_by_role("alert").filter(has_text="gone")).to_contain_text("No model named")
    expect(page.get_by_label("Message", exact=True)).to_have_value("Hi.")
    page.get_by_label("Message", exact=True).fill("x" * 10_001)
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    expect(page.get_by_text("10,001 of 10,000")).to_be_visible()
    assert axe_problems(page) == []


def test_a_server_that_goes_away_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    settings = {"NOVA_SHUTDOWN_TIMEOUT_S": "0"}
    with nova_server(tmp_path, settings) as server:
        port = str(server.port)
        with opened(browser, f"{server.url}/chat") as (page, _):
            say(page, HELLO)
            answers(page, 1)
            server.process.terminate()
            server.process.wait(30)
            say(page, "Are you there?")
            expect(page.get_by_role("alert").first).to_contain_text("does not answer")
            expect(page.get_by_label("Message", exact=True)).to_have_value("Are you there?")
            page.get_by_role("button", name="Edit this message").click()
            box = page.get_by_label("Your message, to be changed")
            box.fill("Is anybody there?")
            box.press("Enter")
            expect(box).to_be_focused()
            expect(box).to_have_value("Is anybody there?")
            box.press("Escape")
            expect(page.get_by_role("button", name="Edit this message")).to_be_focused()
            with nova_server(tmp_path, {**settings}, ["--port", port]):
                page.get_by_role("button", name="Send").click()
                answers(page, 2)
                assert texts(page)[0] == HELLO


def test_an_answer_goes_on_over_a_lost_connection(browser: Browser, door: Door) -> None:
    pieces = openai_stream(["one ", "two ", "three "])
    door.answers([*pieces[:3], Sleep(6), *pieces[3:]])
    with (
        relay(door.port) as line,
        opened(browser, f"http://127.0.0.1:{line.port}/chat") as (page, _),
    ):
        say(page, "Count.")
        expect(page.locator(".message.theirs > div > .stream")).to_contain_text("one")
        line.cut()
        expect(page.locator("#connection")).to_contain_text("connection is lost", timeout=20_000)
        line.mend()
        expect(page.locator("#connection")).to_be_hidden(timeout=20_000)
        # What was shown before is there once, and not twice.
        live = page.locator(".message.theirs > div > .stream")
        if live.count():
            assert live.text_content() in {"one ", "one two ", "one two three "}
        answers(page, 1)
        assert texts(page) == ["Count.", "one two three"]
        assert len(door.asked) == 1


def test_the_keyboard_alone_is_enough(open_page: Callable[..., Page]) -> None:
    page = open_page("/chat")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.type("Hello")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("again")
    page.keyboard.press("Enter")
    answers(page, 1)
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    assert texts(page)[0] == "Hello\nagain"


def test_it_fits_a_narrow_screen(open_page: Callable[..., Page], site: NovaServer) -> None:
    page = open_page("/chat", size="narrow")
    assert not scrolls_sideways(page)
    say(page, "Tell me a story. " + "x" * 300)
    answers(page, 1)
    assert not scrolls_sideways(page)
    assert axe_problems(page) == []


def test_another_ones_conversation_is_a_page_that_says_so(site: NovaServer) -> None:
    html = {"accept": "text/html"}
    none = "/chat/6f1c1f5e-0a4b-4d0e-9d3c-6b1f0e0f5a11"
    assert ask(site.port, "GET", none, headers=html).status == 404
    assert ask(site.port, "GET", "/chat/nothing", headers=html).status == 422
