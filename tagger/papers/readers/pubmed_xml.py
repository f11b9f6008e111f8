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
from tagger.papers.readers.source import Source
from tagger.papers.readers.xml_tree import parse_xml, text_of, texts_of

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
    root = parse_xml(source)
    records = [root] if root.tag in _RECORDS else [each for each in root if each.tag in _RECORDS]
    for number, record in enumerate(records, start=1):
        sections = [each for path in _ABSTRACTS for each in record.findall(path)]
        identifiers = identifiers_of(dois=texts_of(record, _DOIS), pmids=texts_of(record, _PMIDS))
        abstract = " ".join(filter(None, map(_section, sections)))
        yield make_paper(source, number, texts_of(record, _TITLES), [abstract], identifiers)


def _section(element: Element) -> str:
    label, text = element.get("Label", "").strip(), text_of(element)
    return f"{label}: {text}" if text and label and label != "UNLABELLED" else text
