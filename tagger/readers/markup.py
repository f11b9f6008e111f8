"""What HTML and XML have in common here: the root element, and blocks of text with their kind."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import PageElement, Tag

_PROLOG = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->|<!doctype[^>\[]*(?:\[[^\]]*\]\s*)?>", re.I | re.S)
_ROOT = re.compile(r"<([a-z][\w.-]*:)?([a-z][\w.-]*)(?=[\s/>])", re.IGNORECASE)
_DOCTYPE_HTML = re.compile(r"<!doctype\s+html\b", re.IGNORECASE)
_NO_TEXT = ("script", "style", "noscript", "template", "head", "svg", "math")
_NO_CONTENT = ("nav", "footer", "aside", "form", "button", "select")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
# fmt: off
_BLOCKS = frozenset({
    "address", "article", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "hgroup", "hr", "html", "li", "main", "ol", "p", "pre", "section", "summary", "table", "tbody",
    "td", "tfoot", "th", "thead", "tr", "ul",
})
# fmt: on
_HEADING = re.compile(r"h[1-6]")


class MarkupBlock(NamedTuple):
    """A paragraph of a web page.

    ``kind`` is ``h1`` to ``h6`` for a heading, ``title`` where the page calls it so, ``text``
    otherwise.
    """

    kind: str
    text: str


def root_element(head: str) -> str:
    """Return the name of the first element of a document, in lower case and without prefix.

    Parameters
    ----------
    head:
        The first characters of the document.

    Returns
    -------
    str
        ``html`` where only a document type says so; empty if it is neither HTML nor XML.
    """
    position = 0
    while match := _PROLOG.match(head, position):
        if _DOCTYPE_HTML.match(head, position):
            return "html"
        position = match.end()
    root = _ROOT.match(head, position)
    return root[2].lower() if root else ""


def text_of(markup: str) -> str:
    """Return the words of a piece of HTML."""
    return " ".join(block.text for block in blocks_of_markup(markup))


def blocks_of_markup(markup: str | bytes) -> list[MarkupBlock]:
    """Take HTML apart into its paragraphs and headings, in order.

    What is not shown or no content is left out: scripts, styles, hidden texts, navigation,
    footers, forms.
    """
    from bs4 import BeautifulSoup

    with warnings.catch_warnings():
        # That the text may be XML, or the name of a file.
        warnings.simplefilter("ignore")
        page = BeautifulSoup(markup, "lxml")
    for element in page.find_all([*_NO_TEXT, *_NO_CONTENT]):
        element.decompose()
    for element in [*page.find_all(style=_HIDDEN), *page.find_all(hidden=True)]:
        element.decompose()
    return [block for block in _blocks(page) if block.text]


def _blocks(page: BeautifulSoup) -> Iterator[MarkupBlock]:
    from bs4.element import NavigableString, Tag

    owner: Tag | None = None
    parts: list[str] = []
    breaks = 0
    for node in page.descendants:
        if isinstance(node, Tag):
            breaks += node.name == "br"
            if node.name == "br":
                parts.append(" ")
            continue
        # Comments and the like are kinds of strings of their own.
        if type(node) is not NavigableString:
            continue
        if not node.strip():
            parts.append(" ")
            continue
        block = _block_around(node)
        if block is not owner or breaks > 1:
            yield _made(owner, parts)
            owner, parts = block, []
        parts.append(str(node))
        breaks = 0
    yield _made(owner, parts)


def _block_around(node: PageElement) -> Tag | None:
    return next((parent for parent in node.parents if parent.name in _BLOCKS), None)


def _made(owner: Tag | None, parts: list[str]) -> MarkupBlock:
    kind = "text"
    for element in [owner, *owner.parents] if owner else []:
        if element is None or element.name in ("body", "html"):
            break
        if _HEADING.fullmatch(element.name):
            kind = element.name
            break
        if any("title" in name.lower().split("-") for name in element.get_attribute_list("class")):
            kind = "title"
            break
    return MarkupBlock(kind, " ".join("".join(parts).split()))
