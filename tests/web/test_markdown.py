"""What a model wrote becomes HTML that can do nothing."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novasystem.web.markdown import render_markdown
from tests.web.payloads import PAYLOADS

_TAGS = {
    *("a", "blockquote", "br", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "li"),
    *("ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_ATTRIBUTES = {"href", "title", "rel", "target", "start", "tabindex", "class"}


class Seen(HTMLParser):
    """The elements of a fragment, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def elements(text: str) -> list[tuple[str, dict[str, str | None]]]:
    seen = Seen()
    seen.feed(render_markdown(text))
    seen.close()
    return seen.elements


def check_harmless(text: str) -> None:
    for tag, attributes in elements(text):
        assert tag in _TAGS
        assert set(attributes) <= _ATTRIBUTES
        address = attributes.get("href")
        if address is not None:
            assert address.startswith(("https://", "http://", "mailto:"))
            assert attributes["rel"] == "noopener nofollow noreferrer"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_gets_through(payload: str) -> None:
    check_harmless(payload)
    check_harmless(f"Well, **{payload}** and\n\n- {payload}\n- [{payload}]({payload})")


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="<>&\"'`*_[]()!#|-:/\\ \n\tascriptjvon=x1", max_size=80))
def test_nothing_that_can_be_typed_gets_through(text: str) -> None:
    check_harmless(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**b** and *i*", "<p><strong>b</strong> and <em>i</em></p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("# Title", "<h3>Title</h3>"),
        ("###### Deep", "<h6>Deep</h6>"),
        ("~~gone~~", "<p><s>gone</s></p>"),
        ("```python\na < b\n```", '<pre tabindex="0"><code>a &lt; b\n</code></pre>'),
        ("3. c\n4. d", '<ol start="3">\n<li>c</li>\n<li>d</li>\n</ol>'),
        ("2 < 3 & 4", "<p>2 &lt; 3 &amp; 4</p>"),
        ("<b>raw</b>", "<p>&lt;b&gt;raw&lt;/b&gt;</p>"),
    ],
)
def test_markdown_looks_as_it_should(text: str, shown: str) -> None:
    assert render_markdown(text).strip() == shown


def test_links_leave_in_a_tab_that_cannot_reach_back_and_images_are_links() -> None:
    (_, link) = elements("[x](https://example.org/a?b=1&c=2)")[1]
    assert link["href"] == "https://example.org/a?b=1&c=2"
    assert (link["target"], link["rel"]) == ("_blank", "noopener nofollow noreferrer")
    assert [tag for tag, _ in elements("![a cat](https://example.org/cat.png)")] == ["p", "a"]
    assert "a cat" in render_markdown("![a cat](https://example.org/cat.png)")


def test_a_table_scrolls_by_itself() -> None:
    around, table = elements("| a | b |\n|---|---|\n| 1 | 2 |")[:2]
    assert around == ("div", {"class": "scroll", "tabindex": "0"})
    assert table == ("table", {})


@pytest.mark.parametrize(
    "text",
    ["*" * 50_000, "[" * 20_000, "> " * 20_000 + "x", "`" * 30_000, "a" * 500_000, "(" * 90_000],
    ids=["stars", "brackets", "quotes", "ticks", "long", "parentheses"],
)
@pytest.mark.timeout(20)
def test_what_is_made_to_be_slow_is_not(text: str) -> None:
    check_harmless(text)
