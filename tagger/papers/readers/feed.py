"""Reader for feeds, Atom and RSS, such as arXiv's."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any
from xml.sax import SAXException, SAXParseException

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.columns import paper_of_fields
from tagger.papers.readers.markup import root_element, text_of
from tagger.papers.readers.source import Source, check_encoding, parsing

_ROOTS = ("rss", "feed", "rdf")
_END = re.compile(rb"</(?:\w+:)?(?:rss|feed|rdf)\s*>\s*(?:<!--(?:(?!-->).)*-->\s*)*$", re.I | re.S)
_DECLARED = re.compile(rb"\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"']+)")
# In UTF-16, too.
_ENTITY = re.compile(rb"<\0?!\0?E\0?N\0?T\0?I\0?T\0?Y")
# What arXiv's RSS puts in front of an abstract.
_ANNOUNCEMENT = re.compile(r"arXiv:\S+\s+Announce Type:\s*\S+\s+(?:Abstract:\s*)?", re.IGNORECASE)


def recognise(source: Source) -> bool:
    """Tell a feed by its root element."""
    return root_element(source.head) in _ROOTS


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the papers of a feed, or why an entry is none; its number is given as line."""
    import feedparser

    content = source.data
    if _ENTITY.search(content):
        raise TaggerError("declares entities of its own, which no feed does")
    with parsing("feed"):
        declared = _DECLARED.match(content)
        if declared:
            check_encoding(declared[1].decode("ascii", "replace"))
        # Bytes alone might be taken for the name of a file or an address to be opened.
        feed = feedparser.parse(io.BytesIO(content))
        broken = feed.get("bozo_exception")
        entries = [_fields(entry) for entry in feed.entries]
    # It reads on over the many small mistakes of feeds; a half feed would look like a whole one.
    if isinstance(broken, SAXException) and not _END.search(content[-4096:]):
        raise TaggerError(
            f"the feed does not end as it should ({broken.getMessage()})",
            line=broken.getLineNumber() if isinstance(broken, SAXParseException) else None,
            hint="It may be cut short: get it again",
        )
    for number, fields in enumerate(entries, start=1):
        yield paper_of_fields(fields, source, number)


def _fields(entry: Any) -> dict[str, str]:
    title, summary = (
        _words(entry.get(f"{name}_detail") or {"value": entry.get(name)})
        for name in ("title", "summary")
    )
    if not summary and entry.get("content"):
        summary = _words(entry.content[0])
    return {
        "title": title,
        "abstract": _ANNOUNCEMENT.sub("", summary, count=1),
        "doi": entry.get("arxiv_doi") or entry.get("prism_doi") or "",
        "link": entry.get("link") or "",
    }


def _words(detail: Any) -> str:
    value = detail.get("value") or ""
    return text_of(value) if "html" in (detail.get("type") or "") else value
