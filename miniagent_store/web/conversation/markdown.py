"""Markdown as HTML that cannot do anything: two walls, each of which would do.

The parser writes tags out as text (html off) and takes no link that runs; nh3 then lets nothing through but
the tags and attributes named here. Nothing is fetched: a picture from elsewhere is a link.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from miniagent_store.web.visible import visible

# Pictures that browsers take for pictures only; SVG may hold links and styles.
DATA_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")
# A text with none of these is a paragraph: most messages are, and parsing takes 1.5 ms for each KiB.
_MARKS = re.compile(r"[*_`#\[\]<>&|~\\=+-]|^ {4}|^\s*\d+[.)]", re.MULTILINE)
_TAGS = {"a", "blockquote", "br", "code", "em", "hr", "img", "p", "pre", "s", "strong", "ul", "ol", "li"}
_TAGS |= {"h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"}
_ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt"}, "ol": {"start"}, "pre": {"tabindex"}}
_SCHEMES = {"http", "https", "mailto", "data"}
_REL = "noopener noreferrer"


def html_of(text: str) -> Markup:
    """A text in Markdown as HTML.

    Args:
        text: whoever wrote it, whatever they meant by it.
    """
    text = visible(text)
    if not _MARKS.search(text):
        paragraphs = (each for each in re.split(r"\n\s*\n", text) if each.strip())
        return Markup("").join(
            Markup("<p>{}</p>").format(Markup("<br>").join(each.split("\n"))) for each in paragraphs
        )
    return Markup(
        nh3.clean(
            _PARSER.render(text),
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            attribute_filter=_attribute,
            url_schemes=_SCHEMES,
            link_rel=_REL,
        )
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    """An attribute's value, or None to leave it out."""
    is_data = value.strip().lower().startswith("data:")
    if (tag, name) == ("img", "src"):
        return value if DATA_PICTURE.fullmatch(value) else None
    return None if is_data and name == "href" else value


class _Renderer(RendererHTML):
    """Headings below those of the page, pictures from elsewhere as links, code that keys can scroll."""

    def heading_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f"<h{_level(tokens[idx])}>"

    def heading_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f"</h{_level(tokens[idx])}>\n"

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        source, alt = str(token.attrs.get("src", "")), token.content
        if DATA_PICTURE.fullmatch(source):
            return f'<img src="{escape(source)}" alt="{escape(alt)}">'
        return f'<a href="{escape(source)}">{escape(alt or "picture")} ↗</a>'

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<pre tabindex="0"><code>{escape(tokens[idx].content)}</code></pre>\n'

    code_block = fence


def _level(token: Token) -> int:
    return min(int(token.tag[1:]) + 2, 6)


_PARSER = MarkdownIt(
    "commonmark", {"html": False, "breaks": True, "linkify": False}, renderer_cls=_Renderer
).enable(["table", "strikethrough"])
