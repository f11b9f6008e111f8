"""Parse markup: find the root element of HTML and XML, and split HTML into blocks of text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tagger.papers.readers.source import check_encoding

_PROLOG = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->|<!doctype[^>\[]*(?:\[[^\]]*\]\s*)?>", re.I | re.S)
_ROOT = re.compile(r"<([a-z][\w.-]*:)?([a-z][\w.-]*)(?=[\s/>])", re.IGNORECASE)
_DOCTYPE_HTML = re.compile(r"<!doctype\s+html\b", re.IGNORECASE)
_LEFT_OUT = re.compile(
    "script|style|noscript|template|head|svg|math|nav|footer|aside|form|button|select"
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_BLOCK = re.compile(
    "address|article|blockquote|body|caption|center|d[dlt]|details|div|fieldset|figcaption|figure"
    "|h[1-6]|header|hgroup|hr|html|li|main|[ou]l|p|pre|section|summary|table|tbody|t[dhr]|tfoot"
    "|thead"
)
_HEADING = re.compile(r"h[1-6]")
_BOLD = ("b", "strong")
LETTER = re.compile(r"[^\W\d_]")
_TITLE_CLASS = re.compile(r"(?:^|[\s-])title(?![^\s-])|gse_alrt_title", re.IGNORECASE)
# Of alerts of Google Scholar.
_ABSTRACT_CLASS = re.compile(r"gse_alrt_sni")


class MarkupBlock(NamedTuple):
    """A paragraph or heading, its first link, and the text of that link.

    ``kind`` is ``h1`` to ``h6``, ``title`` or ``abstract`` (by CSS class), or ``text``. ``bold`` is
    the text in bold at the beginning, or behind links. The lines end at line breaks.
    """

    kind: str
    text: str
    link: str = ""
    linked: str = ""
    bold: str = ""
    lines: tuple[str, ...] = ()


def root_element(head: str) -> str:
    """Return the root element of a document that begins with ``head``, in lower case, no prefix.

    An HTML document type gives ``html``. The result is empty if this is neither HTML nor XML.
    """
    position = 0
    while match := _PROLOG.match(head, position):
        if _DOCTYPE_HTML.match(head, position):
            return "html"
        position = match.end()
    root = _ROOT.match(head, position)
    return root[2].lower() if root else ""


def text_of(markup: str) -> str:
    return " ".join(block.text for block in read_markup(markup).blocks)


def read_markup(markup: str | bytes) -> MarkupPage:
    """Split HTML into its paragraphs and headings, in order, and find its metadata.

    Hidden elements, scripts, styles, navigation, footers and forms are skipped.

    Raises
    ------
    ValueError
        If the markup cannot be parsed.
    LookupError
        If the declared encoding is unknown.
    """
    from bs4.dammit import EncodingDetector
    from lxml import etree

    if isinstance(markup, bytes):
        markup, marked = EncodingDetector.strip_byte_order_mark(markup)
        declared = EncodingDetector.find_declared_encoding(markup, is_html=True)
        # Browsers' default for pages without declared encoding (WHATWG, "HTML", 13.2.3.2).
        encoding = marked or declared or "windows-1252"
        check_encoding(encoding)
        markup = markup.decode(encoding, "replace")
    # UTF-8 cannot encode lone surrogates, and the parser stops at a null character.
    text = markup.replace("\0", "\ufffd").encode("utf-8", "replace")
    page = MarkupPage()
    # Any, because the type stubs of lxml use other parameter names.
    target: Any = page
    parser = etree.HTMLParser(target=target, encoding="utf-8", huge_tree=True)
    if text.strip():
        try:
            parser.feed(text)
            parser.close()
        except etree.LxmlError as error:
            raise ValueError(str(error)) from error
    return page


class _Element(NamedTuple):
    """An open element: the number and kind of its block, and the kind of blocks inside it."""

    block: int
    block_kind: str
    kind: str


class MarkupPage:
    """Parser target of lxml that collects blocks, and metadata by its name in lower case."""

    def __init__(self) -> None:
        self.blocks: list[MarkupBlock] = []
        self.metadata: dict[str, str] = {}
        self._open = [_Element(0, "text", "text")]
        self._left_out = 0
        self._count = 0
        self._owner = self._open[0]
        self._breaks = 0
        self._href, self._in_link, self._in_bold = "", False, 0
        self._begin()

    def _begin(self) -> None:
        self._lines, self._link, self._linked = [list[str]()], "", list[str]()
        self._bold, self._may_be_bold = list[str](), True

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "meta":
            name = (attributes.get("name") or "").lower()
            self.metadata.setdefault(name, attributes.get("content") or "")
        hidden = "hidden" in attributes or _HIDDEN.search(attributes.get("style", ""))
        if self._left_out or hidden or _LEFT_OUT.fullmatch(tag):
            self._left_out += 1
            return
        if tag == "a":
            self._href, self._in_link = attributes.get("href") or "", True
        if tag == "br":
            self._breaks += 1
            self._lines.append([])
        self._in_bold += tag in _BOLD
        block, block_kind, kind = self._open[-1]
        if tag in ("body", "html"):
            kind = "text"
        elif _HEADING.fullmatch(tag):
            kind = tag
        elif _TITLE_CLASS.search(attributes.get("class", "")):
            kind = "title"
        elif _ABSTRACT_CLASS.search(attributes.get("class", "")):
            kind = "abstract"
        if _BLOCK.fullmatch(tag):
            self._count += 1
            block, block_kind = self._count, kind
        self._open.append(_Element(block, block_kind, kind))

    def end(self, tag: str) -> None:
        if self._left_out:
            self._left_out -= 1
            return
        if tag == "a":
            self._href, self._in_link = "", False
        self._in_bold -= tag in _BOLD
        if len(self._open) > 1:
            self._open.pop()

    def data(self, text: str) -> None:
        if self._left_out:
            return
        element = self._open[-1]
        if text.strip():
            if element.block != self._owner.block or self._breaks > 1:
                self.close()
                self._owner = element
            self._breaks = 0
            self._link = self._link or self._href
        self._lines[-1].append(text)
        if self._href and self._href == self._link:
            self._linked.append(text)
        if self._in_bold and self._may_be_bold:
            self._bold.append(text)
        elif (self._bold or not self._in_link) and LETTER.search(text):
            self._may_be_bold = False

    def close(self) -> None:
        lines = tuple(filter(None, map(_joined, self._lines)))
        if lines:
            kind, linked, bold = self._owner.block_kind, *map(_joined, (self._linked, self._bold))
            block = MarkupBlock(kind, " ".join(lines), self._link, linked, bold, lines)
            self.blocks.append(block)
        self._begin()


def _joined(parts: Iterable[str]) -> str:
    return " ".join("".join(parts).split())
