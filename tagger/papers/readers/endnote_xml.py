"""Reader for the XML of EndNote, which Zotero, Bookends and others write, too."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import identifiers_of
from tagger.papers.readers.markup import root_element
from tagger.papers.readers.records import make_paper
from tagger.papers.readers.source import Source
from tagger.papers.readers.xml_tree import parse_xml, texts_of

_RECORD = re.compile(r"<record>\s*(?:<[^>]*>[^<]*</[^>]*>\s*)*?<(?:source-app|rec-number)\b")
_PUBMED = re.compile(r"pubmed|medline|nlm", re.IGNORECASE)
_TITLES = ("titles/title", "titles/short-title", "titles/translated-title")
_DATABASES = ("remote-database-name", "remote-database-provider")
_LINKS = ("urls/related-urls/url", "urls/pdf-urls/url", "urls/web-urls/url")


def recognise(source: Source) -> bool:
    """Recognise EndNote's XML by its root element, and by the program or number of a record."""
    return root_element(source.head) == "xml" and _RECORD.search(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each record, or an error with the record number as line."""
    root = parse_xml(source)
    for number, record in enumerate(root.iter("record"), start=1):
        from_pubmed = _PUBMED.search(" ".join(texts_of(record, _DATABASES)))
        numbers = texts_of(record, ("accession-num",)) if from_pubmed else []
        identifiers = identifiers_of(
            dois=texts_of(record, ("electronic-resource-num",)),
            pmids=numbers,
            links=texts_of(record, _LINKS),
        )
        abstract = " ".join(texts_of(record, ("abstract",)))
        yield make_paper(source, number, texts_of(record, _TITLES), [abstract], identifiers)
