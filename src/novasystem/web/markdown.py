"""What a model wrote, as HTML that can do nothing: Markdown rendered, then sanitised.

Raw HTML is shown as the text that it is; images become links, so that nothing is fetched from
elsewhere because a model said so; a link leads to an absolute http(s) or mail address, in a tab of
its own that cannot reach back. The sanitiser behind it lets only named tags and attributes pass,
so that a defect of the renderer is not one of the page.
"""

import html
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

__all__ = ["render_markdown"]

_MOST_CHARS = 100_000
_PAGE_HEADINGS = 2
_TAGS = {
    *("a", "blockquote", "br", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "li"),
    *("ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "div": {"tabindex"}}
_FIXED = {"a": {"target": "_blank"}, "pre": {"tabindex": "0"}}


def render_markdown(text: str) -> str:
    """``text`` as HTML to be put into a page unescaped (``{{ html | safe }}``).

    A very long one is shown as it is: rendering it would hold up everybody else.
    """
    if len(text) > _MOST_CHARS:
        return f'<pre tabindex="0">{html.escape(text)}</pre>'
    import nh3

    return nh3.clean(
        _renderer().render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes={"div": {"scroll"}},
        set_tag_attribute_values=_FIXED,
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener nofollow noreferrer",
    )


@cache
def _renderer() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False, "breaks": True})
    renderer.enable(["table", "strikethrough"])
    renderer.core.ruler.push("below_the_page", _lower_headings)
    renderer.add_render_rule("image", _image)
    renderer.add_render_rule("table_open", _table_open)
    renderer.add_render_rule("table_close", _table_close)
    return renderer


def _lower_headings(state: Any) -> None:
    """The page has headings of its own above them."""
    for token in state.tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + _PAGE_HEADINGS)}"


def _image(_renderer: Any, tokens: Any, index: int, *_more: Any) -> str:
    token = tokens[index]
    address = html.escape(str(token.attrGet("src") or ""))
    said = html.escape(token.content or "image")
    return f'<a href="{address}">{said}</a>'


def _table_open(*_given: Any) -> str:
    return '<div class="scroll" tabindex="0"><table>'


def _table_close(*_given: Any) -> str:
    return "</table></div>"
