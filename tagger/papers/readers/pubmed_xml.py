"""Reader for PubMed's XML: articles and book chapters of a ``PubmedArticleSet``.

The elements are described at https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import identifiers_of
from tagger.papers.readers.records import make_paper
from tagger.papers.readers.source import Source, parsing

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_ROOT = re.compile(r"<Pubmed(?:Book)?Article(?:Set)?[\s>]|<!DOCTYPE PubmedArticleSet")
_RECORDS = ("PubmedArticle", "PubmedBookArticle")
# Titles of an article (English, original language), a chapter and a book.
_TITLES = (
    "MedlineCitation/Article/ArticleTitle",
    "MedlineCitation/Article/VernacularTitle",
    "BookDocument/ArticleTitle",
    "BookDocument/Book/BookTitle",
)
_ABSTRACTS = (
    "MedlineCitation/Article/Abstract/AbstractText",
    "BookDocument/Abstract/AbstractText",
)
_DOIS = (
    "MedlineCitation/Article/ELocationID[@EIdType='doi']",
    "PubmedData/ArticleIdList/ArticleId[@IdType='doi']",
    "BookDocument/ELocationID[@EIdType='doi']",
    "BookDocument/ArticleIdList/ArticleId[@IdType='doi']",
    "PubmedBookData/ArticleIdList/ArticleId[@IdType='doi']",
)
_PMIDS = ("MedlineCitation/PMID", "BookDocument/PMID")


def recognise(source: Source) -> bool:
    """Recognise PubMed's XML by its root element or document type."""
    return source.head.startswith("<") and _ROOT.search(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each record of a PubMed XML file, or an error for an invalid record.

    The sections of a structured abstract keep their labels. Documents that declare entities are
    refused, and external resources are not loaded. Errors give the record number as line.
    """
    root = _parse(source.data)
    records = [root] if root.tag in _RECORDS else [each for each in root if each.tag in _RECORDS]
    for number, record in enumerate(records, start=1):
        sections = [each for path in _ABSTRACTS for each in record.findall(path)]
        identifiers = identifiers_of(dois=_texts(record, _DOIS), pmids=_texts(record, _PMIDS))
        abstract = " ".join(filter(None, map(_section, sections)))
        yield make_paper(source, number, _texts(record, _TITLES), [abstract], identifiers)


def _parse(content: bytes) -> Element:
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    with parsing("XML"):
        try:
            root: Element = fromstring(content)
        except ParseError as error:
            raise TaggerError(
                f"is not valid XML: {str(error).partition(':')[0]}",
                line=error.position[0],
                hint="Download the file again: it may be incomplete",
            ) from error
        except DefusedXmlException as error:
            raise TaggerError(
                "declares XML entities, which can be harmful and which PubMed never uses"
            ) from error
    return root


def _texts(record: Element, paths: tuple[str, ...]) -> list[str]:
    return [_text(each) for path in paths for each in record.findall(path)]


def _section(element: Element) -> str:
    label, text = element.get("Label", "").strip(), _text(element)
    return f"{label}: {text}" if text and label and label != "UNLABELLED" else text


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())
