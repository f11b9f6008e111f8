"""Reader for Atom and RSS feeds, such as those of arXiv."""

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
from tagger.papers.readers.unknown import refusal

_DOIS = ("arxiv_doi", "prism_doi", "dc_identifier")
_END = re.compile(rb"</(?:\w+:)?(?:rss|feed|rdf)\s*>\s*(?:<!--(?:(?!-->).)*-->\s*)*$", re.I | re.S)
_DECLARED = re.compile(rb"\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"']+)")
# Also matches UTF-16.
_ENTITY = re.compile(rb"<\0?!\0?E\0?N\0?T\0?I\0?T\0?Y")
# arXiv's RSS puts this before an abstract.
_ANNOUNCEMENT = re.compile(r"arXiv:\S+\s+Announce Type:\s*\S+\s+(?:Abstract:\s*)?", re.IGNORECASE)
# PubMed's RSS has only the last section as description, and this between citation and numbers.
_IN_CONTENT = re.compile(r"(?<!NO )\bABSTRACT (?!PMID:)(.+?)(?: PMID:.*)?\Z")


def recognise(source: Source) -> bool:
    return root_element(source.head) in ("rss", "feed", "rdf")


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each entry of a feed, or an error with the entry number as line."""
    import feedparser

    content = source.xml
    if _ENTITY.search(content):
        raise TaggerError("declares XML entities, which can be harmful and which feeds never use")
    with parsing("a feed"):
        declared = _DECLARED.match(content)
        if declared:
            check_encoding(declared[1].decode("ascii", "replace"))
        # feedparser would take plain bytes for the name of a file or a URL to open.
        feed = feedparser.parse(io.BytesIO(content))
        broken = feed.get("bozo_exception")
        entries = [_fields(entry) for entry in feed.entries]
    if not feed.version and not entries:
        raise refusal(source)  # RDF of another kind, such as Zotero's
    # feedparser ignores small errors, but an incomplete feed would look like a complete one.
    if isinstance(broken, SAXException) and not _END.search(content[-4096:]):
        raise TaggerError(
            f"the end of the feed is missing ({broken.getMessage()})",
            line=broken.getLineNumber() if isinstance(broken, SAXParseException) else None,
            hint="Download it again: it may be incomplete",
        )
    for number, fields in enumerate(entries, start=1):
        yield paper_of_fields(fields, source, number)


def _fields(entry: Any) -> dict[str, str]:
    title, summary = (
        _words(entry.get(f"{name}_detail") or {"value": entry.get(name)})
        for name in ("title", "summary")
    )
    if entry.get("content"):
        content = _words(entry.content[0])
        if labelled := _IN_CONTENT.search(content):
            summary = labelled[1]
        elif not entry.get("summary_detail"):
            # feedparser copies the content, as it is written, to a missing summary.
            summary = content
    return {
        "title": title,
        "abstract": _ANNOUNCEMENT.sub("", summary, count=1),
        "doi": next(filter(None, map(entry.get, _DOIS)), ""),
        "link": entry.get("link") or "",
        "id": entry.get("id") or "",
        "day": entry.get("published") or entry.get("updated") or "",
    }


def _words(detail: Any) -> str:
    value = detail.get("value") or ""
    return text_of(value) if "html" in (detail.get("type") or "") else value
