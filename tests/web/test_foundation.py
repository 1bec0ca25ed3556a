"""What all pages have in common: the frame, the policy, the files, errors, prefixes, colours."""

import gzip
import http.client
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.http.wire import ask
from tests.servers.nova import NovaServer, nova_server
from tests.web.browser import axe_problems, opened, screenshots, scrolls_sideways

PAGES = ["/", "/history", "/compare", "/chat", "/ask", "/ask/memory", "/assistants", "/system"]
HTML = {"Accept": "text/html", "Accept-Encoding": "gzip"}


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=sent)
        answer = connection.getresponse()
        body = answer.read()
        told = {name.lower(): value for name, value in answer.getheaders()}
        if told.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return answer.status, told, body
    finally:
        connection.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_lets_nothing_run_but_the_servers_own_files(site: NovaServer, path: str) -> None:
    status, headers, body = get(site.port, path, Accept="text/html")
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    text = body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\s(on\w+|style)=", text)
    assert not re.search(r'(src|href|action)="(?!/|#)', text)


@pytest.mark.parametrize("path", ["/api/benchmarks", "/api/benchmarks/"])
def test_the_page_of_benchmarks_has_its_older_address_too(site: NovaServer, path: str) -> None:
    status, _, body = get(site.port, path, Accept="text/html")
    assert status == 200
    assert b'id="bench-form"' in body
    assert get(site.port, "/api/benchmarks/history")[1]["content-type"] == "application/json"


def test_files_are_kept_for_good_under_the_address_of_their_version(site: NovaServer) -> None:
    _, _, body = get(site.port, "/")
    found = re.search(r'href="(/static/\w+/app\.css)"', body.decode())
    assert found is not None
    status, headers, css = get(site.port, found[1], Accept_Encoding="gzip")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert "immutable" in headers["cache-control"]
    assert get(site.port, found[1])[2] == css
    assert get(site.port, found[1], If_None_Match=headers["etag"])[0] == 304
    old = get(site.port, "/static/before/app.css")
    assert (old[0], old[1]["cache-control"], old[2]) == (200, "no-cache", css)
    for missing in ("/static/x/none.js", "/static/x/../router.py", "/static/x/vendor/VERSIONS.md"):
        assert get(site.port, missing)[0] == 404


def test_what_is_missing_is_a_page_for_a_browser_and_json_for_others(site: NovaServer) -> None:
    status, headers, body = get(site.port, "/nowhere", Accept="text/html")
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"There is nothing at /nowhere" in body
    assert get(site.port, "/nowhere", Accept="*/*")[1]["content-type"] == "application/json"
    api = get(site.port, "/api/nowhere", Accept="text/html")
    assert api[1]["content-type"] == "application/json"


def test_a_name_that_is_no_path_is_escaped(site: NovaServer) -> None:
    body = get(site.port, "/%3Cscript%3Ealert(1)%3C/script%3E", Accept="text/html")[2]
    assert b"<script>alert" not in body


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "taken out"])
def test_behind_a_prefix_every_link_has_it(tmp_path: Path, browser: Browser, keeps: bool) -> None:
    """A proxy may leave its prefix in the path or take it out; links have it in both cases."""
    with nova_server(tmp_path, {"NOVA_ROOT_PATH": "/nova"}) as server:
        text = get(server.port, "/nova/history" if keeps else "/history")[2].decode()
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', text)
        assert links
        assert all(link.startswith("/nova/") for link in links)
        assert get(server.port, "/nova/health" if keeps else "/health")[0] == 200
        if keeps:
            with opened(browser, f"{server.url}/nova/") as (page, _):
                page.get_by_role("link", name="History", exact=True).click()
                expect(page).to_have_url(f"{server.url}/nova/history")
                expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_colours_are_kept(open_page: Callable[..., Page]) -> None:
    page = open_page("/")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_label("Colours").select_option("dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.goto("/history")
    assert page.evaluate(ground) == dark
    expect(page.get_by_label("Colours")).to_have_value("dark")


def test_the_keyboard_skips_to_the_content(open_page: Callable[..., Page]) -> None:
    page = open_page("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_error_page_is_fit_for_all(
    open_page: Callable[..., Page], theme: str, shots: Path
) -> None:
    page = open_page("/nowhere", theme=theme)
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
    assert axe_problems(page) == []
    if theme == "light":
        screenshots(page, "error", shots)
    page.set_viewport_size({"width": 360, "height": 740})
    assert not scrolls_sideways(page)


def test_a_server_starts_without_templates(site: NovaServer) -> None:
    """What only pages need is loaded by the first page."""
    assert ask(site.port, "GET", "/health").status == 200
    needed = "{'jinja2', 'markdown_it', 'nh3'}"
    code = f"import sys; import novasystem.app; print({needed} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_pages_are_light(site: NovaServer, browser: Browser) -> None:
    """At most 150 KB on the wire with all that it loads. What a page takes is measured by
    ``make perf``."""
    for path in PAGES:
        with opened(browser, f"{site.url}{path}") as (page, watched):
            # A page with a stream is never idle.
            page.wait_for_timeout(700)
            weight = sum(watched.sizes.values())
        print(f"{path}: {weight / 1000:.1f} KB")  # noqa: T201
        assert weight <= 150_000
