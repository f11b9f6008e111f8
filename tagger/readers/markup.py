"""What HTML and XML have in common here: the root element, and blocks of text with their kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from tagger.readers.source import check_encoding

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
    footers, forms. Elements pass by one after the other, so that a page costs what its paragraphs
    do, however many elements it has and however deep they are nested.

    Raises
    ------
    ValueError
        If it cannot be parsed.
    LookupError
        If it says that it is in an encoding that there is not.
    """
    from bs4.dammit import EncodingDetector
    from lxml import etree

    if isinstance(markup, bytes):
        markup, marked = EncodingDetector.strip_byte_order_mark(markup)
        declared = EncodingDetector.find_declared_encoding(markup, is_html=True)
        # What browsers take a page for that says nothing (WHATWG, "HTML", 13.2.3.2).
        encoding = marked or declared or "windows-1252"
        check_encoding(encoding)
        markup = markup.decode(encoding, "replace")
    # Halves of surrogate pairs are no text, and to the parser a null character is the end.
    text = markup.replace("\0", "\ufffd").encode("utf-8", "replace")
    if not text.strip():
        return []
    collector = _BlockCollector()
    # Its stubs ask for a target that takes bytes, too.
    parser = etree.HTMLParser(target=collector, encoding="utf-8", huge_tree=True)  # type: ignore[arg-type]
    try:
        parser.feed(text)
        parser.close()
    except etree.LxmlError as error:
        raise ValueError(str(error)) from error
    return collector.blocks


class _Element(NamedTuple):
    """An element that is open: the block that it belongs to, the block's kind, and its own."""

    block: int
    block_kind: str
    kind: str


class _BlockCollector:
    """Takes the events of a parser (lxml's target interface), and makes blocks of them."""

    def __init__(self) -> None:
        self.blocks: list[MarkupBlock] = []
        self._open = [_Element(0, "text", "text")]
        self._left_out = 0
        self._count = 0
        self._owner = self._open[0]
        self._parts: list[str] = []
        self._breaks = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._left_out or _is_left_out(tag, attributes):
            self._left_out += 1
            return
        if tag == "br":
            self._breaks += 1
            self._parts.append(" ")
        block, block_kind, kind = self._open[-1]
        if tag in ("body", "html"):
            kind = "text"
        elif _HEADING.fullmatch(tag):
            kind = tag
        elif any(
            "title" in name.lower().split("-") for name in attributes.get("class", "").split()
        ):
            kind = "title"
        if tag in _BLOCKS:
            self._count += 1
            block, block_kind = self._count, kind
        self._open.append(_Element(block, block_kind, kind))

    def end(self, _tag: str) -> None:
        if self._left_out:
            self._left_out -= 1
        elif len(self._open) > 1:
            self._open.pop()

    def data(self, text: str) -> None:
        if self._left_out:
            return
        if not text.strip():
            self._parts.append(" ")
            return
        element = self._open[-1]
        if element.block != self._owner.block or self._breaks > 1:
            self._finish()
            self._owner = element
        self._parts.append(text)
        self._breaks = 0

    def close(self) -> None:
        self._finish()

    def _finish(self) -> None:
        text = " ".join("".join(self._parts).split())
        if text:
            self.blocks.append(MarkupBlock(self._owner.block_kind, text))
        self._parts = []


def _is_left_out(tag: str, attributes: Mapping[str, str]) -> bool:
    hidden = "hidden" in attributes or bool(_HIDDEN.search(attributes.get("style", "")))
    return hidden or tag in _NO_TEXT or tag in _NO_CONTENT
