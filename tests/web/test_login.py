"""A key becomes a session in a cookie, which opens what the key opens and nothing else."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from novasystem.errors import Overloaded
from novasystem.http.keys import COOKIE, SESSION_S, Guesses, Keys, sessions_in
from tests.http.wire import Answer, ask
from tests.servers.nova import NovaServer, nova_server
from tests.web.browser import axe_problems, opened, screenshots, scrolls_sideways

KEYS = ("nova_" + "k" * 40, "nova_" + "l" * 40)
KNOWN = Keys(map(SecretStr, KEYS))
OWNERS = [KNOWN.owner(key) or "" for key in KEYS]
FORM = {"content-type": "application/x-www-form-urlencoded"}
APP = "https://app.example.org"
NOW = 1_900_000_000.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NovaServer]:
    settings = {"NOVA_API_KEYS": ",".join(KEYS), "NOVA_CORS_ORIGINS": APP}
    with nova_server(tmp_path_factory.mktemp("locked"), settings) as one:
        yield one


def log_in(port: int, key: str, wanted: str = "/", **headers: str) -> Answer:
    body = urlencode({"key": key, "next": wanted}).encode()
    return ask(port, "POST", "/login", body, {**FORM, **headers})


def session_of(answer: Answer) -> str:
    found = re.match(rf"{COOKIE}=([^;]+);", answer.headers["set-cookie"])
    assert found is not None
    return found[1]


def cookie(value: str) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={value}"}


def altered(session: str) -> list[str]:
    """The session with one of its parts changed, and with what is none."""
    until, nonce, owner, signature = session.split(".")
    other = OWNERS[1] if owner == OWNERS[0] else OWNERS[0]
    flipped = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    return [
        f"{int(until) + 9}.{nonce}.{owner}.{signature}",
        f"{until}.{nonce[::-1]}x.{owner}.{signature}",
        f"{until}.{nonce}.{other}.{signature}",
        f"{until}.{nonce}.{owner}.{flipped}",
        f"{until}.{nonce}.{owner}.",
        f"{until}.{nonce}.{owner}",
        f"{until}.{nonce}.local.{signature}",
        f".{nonce}.{owner}.{signature}",
        f"-{until}.{nonce}.{owner}.{signature}",
        "x",
        "....",
        KEYS[0],
    ]


def test_a_session_holds_for_its_time_and_in_every_process_that_knows_the_key() -> None:
    session = KNOWN.new_session(OWNERS[0], NOW)
    another = Keys([SecretStr(KEYS[0])])
    for keys in (KNOWN, another):
        assert keys.session_owner(session, NOW) == OWNERS[0]
        assert keys.session_owner(session, NOW + SESSION_S - 1) == OWNERS[0]
        assert keys.session_owner(session, NOW + SESSION_S) is None


def test_a_session_is_over_with_its_key() -> None:
    session = KNOWN.new_session(OWNERS[0], NOW)
    assert Keys([SecretStr(KEYS[1])]).session_owner(session, NOW) is None
    assert Keys([]).session_owner(session, NOW) is None


def test_a_session_tells_nothing_of_the_key_and_no_two_are_the_same() -> None:
    sessions = {KNOWN.new_session(owner, NOW) for owner in OWNERS for _ in range(20)}
    assert len(sessions) == 40
    assert not any(key in session or key[5:] in session for key in KEYS for session in sessions)


@pytest.mark.parametrize("number", range(len(altered(KNOWN.new_session(OWNERS[0], NOW)))))
def test_an_altered_session_is_none(number: int) -> None:
    for owner in OWNERS:
        assert KNOWN.session_owner(altered(KNOWN.new_session(owner, NOW))[number], NOW) is None


def test_cookies_are_read_as_browsers_send_them() -> None:
    assert list(sessions_in(f"a=b; {COOKIE}=1.2; {COOKIE}x=3; {COOKIE}=4; {COOKIE}=")) == [
        "1.2",
        "4",
    ]
    assert list(sessions_in("")) == []


def test_who_guesses_has_to_wait_and_others_do_not() -> None:
    guesses = Guesses(most=3, within_s=0.3)
    for _ in range(3):
        guesses.check("a")
        guesses.wrong("a")
    with pytest.raises(Overloaded) as refused:
        guesses.check("a")
    assert refused.value.retry_after_s >= 1
    guesses.check("b")
    time.sleep(0.35)
    guesses.check("a")
    for number in range(30):
        guesses.wrong(f"address {number}")
    with pytest.raises(Overloaded):
        guesses.check("b")


def test_a_key_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(site: NovaServer) -> None:
    answer = log_in(site.port, KEYS[0], "/history?limit=5")
    assert (answer.status, answer.headers["location"]) == (303, "/history?limit=5")
    told = answer.headers["set-cookie"].lower()
    for attribute in ("httponly", "samesite=strict", f"max-age={SESSION_S}", "path=/"):
        assert attribute in told
    assert "secure" not in told
    assert KEYS[0] not in told
    by_tls = log_in(site.port, KEYS[0], **{"x-forwarded-proto": "https"})
    assert "; secure" in by_tls.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "evil",
        "",
        "/x\r\nset-cookie: a=b",
        "/login?next=/login",
        "javascript:alert(1)",
    ],
)
def test_nobody_is_led_elsewhere(site: NovaServer, wanted: str) -> None:
    answer = log_in(site.port, KEYS[0], wanted)
    assert (answer.status, answer.headers["location"]) == (303, "/")


def test_a_wrong_key_is_told_so_and_is_in_no_log(tmp_path: Path) -> None:
    with nova_server(tmp_path, {"NOVA_API_KEYS": KEYS[0], "NOVA_EMBEDDED": "off"}) as server:
        for wrong in ("", "wrong", KEYS[1], f"{KEYS[0]}x"):
            answer = log_in(server.port, wrong)
            assert answer.status == 401
            assert "not known" in answer.text
            assert "set-cookie" not in answer.headers
        statuses = [log_in(server.port, f"guess-{number}").status for number in range(10)]
        assert statuses == [401] * 6 + [429] * 4
        late = log_in(server.port, KEYS[0])
        assert late.status == 429
        assert int(late.headers["retry-after"]) <= 61
        assert ask(server.port, "POST", "/login", b"key=" + b"x" * 9000, FORM).status == 413
        log = server.log_path.read_text()
        assert not any(text in log for text in (KEYS[0], KEYS[1], "guess-3"))


def routes(port: int) -> list[tuple[str, str]]:
    bearer = {"authorization": f"Bearer {KEYS[0]}"}
    paths = ask(port, "GET", "/openapi.json", headers=bearer).json["paths"]
    described = [
        (method.upper(), re.sub(r"\{.*?\}", "none", path))
        for path, methods in paths.items()
        for method in methods
        if path not in {"/health", "/ready"}
    ]
    pages = ("/", "/history", "/compare", "/docs", "/openapi.json", "/nowhere")
    return [*described, *(("GET", path) for path in pages)]


def test_no_route_takes_anything_but_a_session_that_holds(site: NovaServer) -> None:
    good = session_of(log_in(site.port, KEYS[0]))
    over = KNOWN.new_session(OWNERS[0], time.time() - SESSION_S - 1)
    unknown = Keys([SecretStr("other")])
    foreign = unknown.new_session(unknown.owner("other") or "")
    bad = [cookie(value) for value in (*altered(good), over, foreign)]
    asked = routes(site.port)
    assert len(asked) > 30
    for method, path in asked:
        body: object = {} if method in {"POST", "PATCH"} else None
        for headers in ({}, *bad):
            answer = ask(site.port, method, path, body, headers)
            assert answer.status == 401, (method, path, headers)
            assert answer.headers["www-authenticate"] == "Bearer"
    # A header decides alone where there is one.
    both = {**cookie(good), "authorization": "Bearer wrong"}
    assert ask(site.port, "GET", "/v1/models", headers=both).status == 401


BASIC = {"authorization": "Basic YWRhOnNlY3JldA=="}


def test_what_a_proxy_is_told_leaves_the_session_standing(site: NovaServer) -> None:
    session = session_of(log_in(site.port, KEYS[0]))
    mine = {**cookie(session), **BASIC}
    assert ask(site.port, "GET", "/v1/models", headers=mine).status == 200
    assert ask(site.port, "POST", "/v1/threads", {}, mine).status == 201
    # It is a session still: of our own pages, and one that holds.
    for site_of in ("cross-site", "same-site"):
        foreign = {**mine, "sec-fetch-site": site_of}
        assert ask(site.port, "GET", "/api/runs", headers=foreign).status == 403
    for origin in (APP, "http://evil.example"):
        assert ask(site.port, "POST", "/v1/threads", {}, {**mine, "origin": origin}).status == 403
    for headers in (BASIC, {**BASIC, "cookie": "a=b"}, {**BASIC, **cookie(altered(session)[0])}):
        assert ask(site.port, "GET", "/v1/models", headers=headers).status == 401
    for wrong in ("Bearer", "Bearer ", "bearer wrong"):
        headers = {**mine, "authorization": wrong}
        assert ask(site.port, "GET", "/v1/models", headers=headers).status == 401, wrong


def test_a_session_opens_what_its_owners_key_opens_and_nothing_of_others(site: NovaServer) -> None:
    sessions = [cookie(session_of(log_in(site.port, key))) for key in KEYS]
    made = ask(site.port, "POST", "/v1/threads", {"metadata": {"of": "first"}}, sessions[0]).json
    at = f"/v1/threads/{made['id']}"
    bearers = [{"authorization": f"Bearer {key}"} for key in KEYS]
    for mine in (sessions[0], bearers[0]):
        assert ask(site.port, "GET", at, headers=mine).status == 200
    for theirs in (sessions[1], bearers[1]):
        assert ask(site.port, "GET", at, headers=theirs).status == 404
    for path in ("/", "/v1/models", "/metrics", "/api/runs", "/docs"):
        assert ask(site.port, "GET", path, headers=sessions[0]).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"origin": "http://localhost", "host": "localhost"}, 201),
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": APP}, 403),
        ({"origin": APP, "authorization": f"Bearer {KEYS[0]}"}, 201),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
    ],
    ids=str,
)
def test_a_write_with_a_session_comes_from_our_own_pages(
    site: NovaServer, headers: dict[str, str], status: int
) -> None:
    sent = {**cookie(session_of(log_in(site.port, KEYS[0]))), **headers}
    assert ask(site.port, "POST", "/v1/threads", {}, sent).status == status


def test_other_pages_cannot_read_with_a_session_but_may_lead_here(site: NovaServer) -> None:
    mine = cookie(session_of(log_in(site.port, KEYS[0])))
    for site_of in ("cross-site", "same-site"):
        read = {**mine, "sec-fetch-site": site_of, "sec-fetch-mode": "no-cors"}
        assert ask(site.port, "GET", "/api/runs", headers=read).status == 403
        led = {**mine, "sec-fetch-site": site_of, "sec-fetch-mode": "navigate"}
        assert ask(site.port, "GET", "/", headers=led).status == 200


def test_a_browser_is_led_to_the_login_and_a_program_is_told(site: NovaServer) -> None:
    html = {"accept": "text/html,*/*;q=0.8"}
    page = ask(site.port, "GET", "/history?limit=2&model=a%20b", headers=html)
    assert page.status == 303
    assert page.headers["location"] == "/login?next=%2Fhistory%3Flimit%3D2%26model%3Da%2520b"
    for path in ("/api/benchmarks", "/api/benchmarks/"):
        older = ask(site.port, "GET", path, headers=html)
        assert (older.status, older.headers["location"]) == (303, f"/login?next={quote(path, '')}")
        assert ask(site.port, "GET", path).status == 401
    for path in ("/api/runs", "/v1/models", "/api/benchmarks/history"):
        assert ask(site.port, "GET", path, headers=html).status == 401
    assert ask(site.port, "GET", "/history").status == 401
    opened_page = ask(site.port, "GET", page.headers["location"], headers=html)
    assert opened_page.status == 200
    assert 'value="/history?limit=2&amp;model=a%20b"' in opened_page.text


def test_who_is_in_already_goes_on_and_logging_out_takes_the_cookie_away(site: NovaServer) -> None:
    mine = cookie(session_of(log_in(site.port, KEYS[0])))
    on = ask(site.port, "GET", "/login?next=/chat", headers=mine)
    assert (on.status, on.headers["location"]) == (303, "/chat")
    out = ask(site.port, "POST", "/logout", b"", {**mine, **FORM})
    assert (out.status, out.headers["location"]) == (303, "/login")
    assert f'{COOKIE}=""' in out.headers["set-cookie"]
    assert "Max-Age=0" in out.headers["set-cookie"]
    foreign = {**mine, **FORM, "origin": "http://evil.example"}
    assert ask(site.port, "POST", "/logout", b"", foreign).status == 403


def test_without_keys_there_is_nothing_to_log_in_to(nova: NovaServer) -> None:
    answer = ask(nova.port, "GET", "/login?next=/chat")
    assert (answer.status, answer.headers["location"]) == (303, "/chat")
    assert "Log out" not in ask(nova.port, "GET", "/").text


def test_behind_a_prefix_the_cookie_and_the_ways_have_it_too(tmp_path: Path) -> None:
    settings = {
        "NOVA_API_KEYS": KEYS[0],
        "NOVA_EMBEDDED": "off",
        "NOVA_ROOT_PATH": "/nova",
    }
    with nova_server(tmp_path, settings) as server:
        html = {"accept": "text/html"}
        led = ask(server.port, "GET", "/nova/history", headers=html)
        assert led.headers["location"] == "/nova/login?next=%2Fhistory"
        answer = log_in(server.port, KEYS[0], "/history")
        assert answer.headers["location"] == "/nova/history"
        assert "Path=/nova;" in answer.headers["set-cookie"]
        mine = cookie(session_of(answer))
        assert ask(server.port, "GET", "/nova/history", headers=mine).status == 200
        assert ask(server.port, "GET", "/nova/static/../v1/models").status in {401, 404}


def test_logging_in_and_out_in_a_browser(
    open_page: Callable[..., Page], browser: Browser, site: NovaServer, shots: Path
) -> None:
    page = open_page("/history?limit=5")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert axe_problems(page) == []
    page.keyboard.type("not the key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").first).to_contain_text("not known")
    assert axe_problems(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe_problems(page) == []
    screenshots(page, "login", shots)
    page.get_by_label("Key").fill(KEYS[0])
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/history\?limit=5$"))
    assert page.evaluate("document.cookie") == ""
    stored = page.context.cookies()[0]
    assert (stored["httpOnly"], stored["sameSite"]) == (True, "Strict")
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile(r"/login$"))
    page.goto(f"{site.url}/")
    expect(page).to_have_url(re.compile(r"/login\?next=%2F$"))
    with opened(browser, f"{site.url}/login", size="narrow") as (narrow, _):
        assert not scrolls_sideways(narrow)


def test_a_link_from_elsewhere_finds_the_way_in_again(browser: Browser, site: NovaServer) -> None:
    """The browser keeps a strict cookie back when another site leads here."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"{site.url}/login")
        page.get_by_label("Key").fill(KEYS[0])
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{site.url}/")
        # Another name is another site to a browser, which sends it no cookie of ours.
        page.goto(f"http://localhost:{site.port}/login")
        sent: list[bool] = []
        page.on("request", lambda request: sent.append("cookie" in request.all_headers()))
        page.evaluate("target => { location.href = target }", f"{site.url}/history")
        expect(page).to_have_url(f"{site.url}/history")
        expect(page.get_by_role("button", name="Log out")).to_be_visible()
        assert sent[0] is False
    finally:
        context.close()
