"""Readers for XML with one element per record: PubMed, EndNote (which Zotero and Bookends also
write), and MODS, a format of libraries.

Entities are refused, and external resources are not loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.records import Layout
from tagger.papers.readers.source import Source, parsing

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


@dataclass(frozen=True)
class XmlRecords:
    """A reader of a format of XML.

    ``mark`` is found in the beginning of a file, ``records`` are the tags of the elements, and
    ``layout`` has the paths of the parts of a paper in them. ``between`` is put between the texts
    of the elements in such a part.
    """

    mark: re.Pattern[str]
    records: tuple[str, ...]
    layout: Layout
    between: str = ""

    def recognise(self, source: Source) -> bool:
        return source.head.startswith("<") and self.mark.search(source.head) is not None

    def read(self, source: Source) -> Iterator[Paper | TaggerError]:
        """Yield the paper of each record, or an error with the record number as line.

        The sections of a structured abstract keep their labels. Raises a TaggerError with the line
        if the XML is invalid, or if it declares entities.
        """
        from xml.etree.ElementTree import ParseError

        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import fromstring

        with parsing("XML"):
            try:
                root: Element = fromstring(source.xml)
            except ParseError as error:
                raise TaggerError(
                    f"is not valid XML: {str(error).partition(':')[0]}",
                    line=error.position[0],
                    hint="Download the file again: it may be incomplete",
                ) from error
            except DefusedXmlException as error:
                problem = "declares XML entities, which can be harmful and which lists of papers"
                raise TaggerError(f"{problem} never use") from error
        records = (each for each in root.iter() if each.tag.rpartition("}")[2] in self.records)
        for number, record in enumerate(records, start=1):
            yield self.layout.paper(source, number, partial(_texts, record, self.between))


def _texts(record: Element, between: str, paths: Iterable[str]) -> list[str]:
    """Return the texts of all elements at some paths, on one line each."""
    return [_text(each, between) for path in paths for each in record.findall(path)]


def _text(element: Element, between: str) -> str:
    label = element.get("Label", "").strip()
    between = between if element.find("Year") is None else " "  # the parts of a date
    text = " ".join(between.join(element.itertext()).split())
    return f"{label}: {text}" if text and label and label != "UNLABELLED" else text


# See https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html.
PUBMED_XML = XmlRecords(
    re.compile(r"<Pubmed(?:Book)?Article(?:Set)?[\s>]|<!DOCTYPE PubmedArticleSet"),
    ("PubmedArticle", "PubmedBookArticle"),
    Layout(
        # Titles of an article (English, original language), a chapter and a book.
        titles=(
            "MedlineCitation/Article/ArticleTitle",
            "MedlineCitation/Article/VernacularTitle",
            "BookDocument/ArticleTitle",
            "BookDocument/Book/BookTitle",
        ),
        abstracts=(
            "MedlineCitation/Article/Abstract/AbstractText",
            "BookDocument/Abstract/AbstractText",
        ),
        dois=(
            "MedlineCitation/Article/ELocationID[@EIdType='doi']",
            "PubmedData/ArticleIdList/ArticleId[@IdType='doi']",
            "BookDocument/ELocationID[@EIdType='doi']",
            "BookDocument/ArticleIdList/ArticleId[@IdType='doi']",
            "PubmedBookData/ArticleIdList/ArticleId[@IdType='doi']",
        ),
        pmids=("MedlineCitation/PMID", "BookDocument/PMID"),
        days=("PubmedData/History/PubMedPubDate[@PubStatus='entrez']",),
    ),
)

ENDNOTE_XML = XmlRecords(
    re.compile(
        r"\A(?:\s|<[?!][^>]*>)*<xml[\s>](?s:.*)<record>\s*(?:<[^>]*>[^<]*</[^>]*>\s*)*?<(?:source-app|rec-number)\b"
    ),
    ("record",),
    Layout(
        titles=("titles/title", "titles/short-title", "titles/translated-title"),
        abstracts=("abstract",),
        dois=("electronic-resource-num",),
        links=("urls/related-urls/url", "urls/pdf-urls/url", "urls/web-urls/url"),
        databases=("remote-database-name", "remote-database-provider"),
        accession_numbers=("accession-num",),
    ),
)

# See https://www.loc.gov/standards/mods/. Its elements have a namespace.
MODS_XML = XmlRecords(
    re.compile(r"<(?:\w+:)?mods(?:Collection)?[\s>]"),
    ("mods",),
    Layout(
        titles=("{*}titleInfo",),
        abstracts=("{*}abstract",),
        dois=("{*}identifier[@type='doi']",),
        links=("{*}identifier[@type='uri']", "{*}location/{*}url"),
        days=("{*}originInfo/{*}dateIssued",),
    ),
    between=" ",
)
