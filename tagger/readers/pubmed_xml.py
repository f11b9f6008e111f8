"""Reader for PubMed's XML: articles and book chapters of a ``PubmedArticleSet``.

Elements as in https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.cleaning import clean_marked_up_text
from tagger.readers.identifiers import identifiers_of
from tagger.readers.placeholders import is_no_title
from tagger.readers.source import Source

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_ROOT = re.compile(r"<Pubmed(?:Book)?Article(?:Set)?[\s>]")
_RECORDS = ("PubmedArticle", "PubmedBookArticle")
# Of an article, a chapter and a book; a title that is not available in English has an own element.
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


def is_pubmed_xml(source: Source) -> bool:
    """Tell PubMed's XML by its root, or its document type."""
    return source.head.startswith("<") and bool(
        _ROOT.search(source.head) or "<!DOCTYPE PubmedArticleSet" in source.head
    )


def read_pubmed_xml(source: Source) -> list[Paper]:
    """Read the papers of a PubMed XML file, in order and with repeats.

    The sections of a structured abstract keep their labels. Entities of the document's own are
    refused, and nothing outside it is read.

    Parameters
    ----------
    source:
        The file.

    Raises
    ------
    TaggerError
        If it is not XML (the line is given), declares entities, holds no record, or a record has
        no title (its number is given).
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(source.data)
    except ParseError as error:
        raise TaggerError(
            f"is not XML: {str(error).partition(':')[0]}",
            path=source.path,
            line=error.position[0],
            hint="Download it again, it may be cut off",
        ) from error
    except DefusedXmlException as error:
        raise TaggerError(
            "declares entities of its own, which PubMed never does", path=source.path
        ) from error
    except (LookupError, ValueError) as error:
        raise TaggerError(f"is in an unknown encoding ({error})", path=source.path) from error
    records = [root] if root.tag in _RECORDS else [each for each in root if each.tag in _RECORDS]
    if not records:
        raise TaggerError("no records in this PubMed file", path=source.path)
    papers = []
    for number, record in enumerate(records, start=1):
        titles = [_text(each) for path in _TITLES for each in record.findall(path)]
        title = next((text for text in titles if text and not is_no_title(text)), "")
        if not title:
            raise TaggerError(
                f"record {number} has no title", path=source.path, hint="Take it out of the file"
            )
        sections = [each for path in _ABSTRACTS for each in record.findall(path)]
        identifiers = identifiers_of(
            dois=[_text(each) for path in _DOIS for each in record.findall(path)],
            pmids=[_text(each) for path in _PMIDS for each in record.findall(path)],
        )
        abstract = " ".join(filter(None, map(_section, sections)))
        papers.append(Paper(title, abstract, (source.name,), identifiers=identifiers))
    return papers


def _section(element: Element) -> str:
    label = element.get("Label", "").strip()
    text = _text(element)
    return f"{label}: {text}" if text and label and label != "UNLABELLED" else text


def _text(element: Element) -> str:
    return clean_marked_up_text("".join(element.itertext()))
