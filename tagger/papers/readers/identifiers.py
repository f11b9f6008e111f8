"""Normalise the identifiers of papers.

The normal forms are ``doi:10.1234/abc`` in lower case (DOI names are case-insensitive, DOI
Handbook, 2.4), ``arxiv:2101.00001`` without version, and ``pmid:123``. A DOI registered by arXiv
becomes the arXiv id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from tagger.papers.readers.cleaning import unescape

_DOI = re.compile(r"(?<![\w.])10\.\d{4,9}(?:\.\d+)*/\S+")
_MAX_DOI = 2048
"""Characters. DOIs in use are far shorter; the limit bounds the running time."""
# A semicolon may also be part of a DOI.
_BETWEEN_DOIS = re.compile(r";\s*(?=(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?10\.\d{4,9})", re.I)
_DOI_OF_ARXIV = "10.48550/arxiv."
# https://info.arxiv.org/help/arxiv_identifier.html: YYMM.number since 2007, archive/YYMMnumber
# before. The subject class of an archive, as in math.GT/0309136, is not part of the identity.
_ARXIV = re.compile(
    r"(?<![\w./])(?:(\d\d(?:0[1-9]|1[0-2])\.\d{4,5})|([a-z]{1,9}(?:-[a-z]{1,9})?)(?:\.[a-z]{2})?"
    r"/(\d{7}))"
    r"(?:v\d+)?(?![\w/])(?!\.\d)",
    re.IGNORECASE,
)
_PMID = re.compile(r"(?:pmid\s*:?\s*)?0*([1-9]\d{0,8})", re.IGNORECASE)
_ARXIV_MENTION = re.compile(r"arxiv\s*:\s*\S+", re.IGNORECASE)
_PMID_MENTION = re.compile(r"pmid\s*:?\s*\d+", re.IGNORECASE)
_LINKS = {
    "doi": re.compile(r"https?://(?:www\.|dx\.)?doi\.org/([^?#\s]+)", re.IGNORECASE),
    "arxiv": re.compile(
        r"https?://(?:www\.|export\.)?arxiv\.org/(?:abs|pdf|html|format)/([^?#\s]+)", re.IGNORECASE
    ),
    "pmid": re.compile(
        r"https?://(?:pubmed\.ncbi\.nlm\.nih\.gov|(?:www\.)?ncbi\.nlm\.nih\.gov/pubmed)/(\d+)",
        re.IGNORECASE,
    ),
}


def normal_doi(text: str) -> str | None:
    """Return the normalised DOI in a text, or None.

    ``https://doi.org/10.1234/ABC`` and ``DOI: 10.1234/abc.`` become ``doi:10.1234/abc``.
    """
    # Reference managers escape DOIs for LaTeX, browsers for URLs, publishers for HTML.
    found = _DOI.search(re.sub(r"\\(?=\W|_)|[{}]", "", unescape(unquote(text))))
    if not found or len(found[0]) > _MAX_DOI:
        return None
    doi = found[0].lower()
    while doi[-1] in ".,;:'\"" or (doi[-1] in ")]" and not _is_closed(doi)):
        doi = doi[:-1]
    if doi.startswith(_DOI_OF_ARXIV):
        return normal_arxiv(doi.removeprefix(_DOI_OF_ARXIV))
    return None if doi.endswith("/") else f"doi:{doi}"


def normal_arxiv(text: str) -> str | None:
    """Return the normalised arXiv id in a text, or None.

    ``arXiv:2101.00001v2`` and ``2101.00001 [cs.CL]`` become ``arxiv:2101.00001``.
    """
    found = _ARXIV.search(text.removesuffix(".pdf").replace("\\", ""))
    if not found:
        return None
    number, archive, old = found.groups()
    return f"arxiv:{number or f'{archive.lower()}/{old}'}"


def normal_pmid(text: str) -> str | None:
    """Return the normalised PubMed number, or None if ``text`` is not one."""
    found = _PMID.fullmatch(text.strip())
    return f"pmid:{found[1]}" if found else None


_NORMAL = {"doi": normal_doi, "arxiv": normal_arxiv, "pmid": normal_pmid}


def identifier_of_link(link: str) -> str | None:
    """Return the identifier in a link to doi.org, arXiv or PubMed, or None for other links."""
    for kind, pattern in _LINKS.items():
        if found := pattern.search(link):
            return _NORMAL[kind](found[1])
    return None


def arxiv_mentions(text: str) -> list[str]:
    """Return all mentions of arXiv ids in a text: ``arXiv:2101.00001``."""
    return _ARXIV_MENTION.findall(text)


def pmid_mentions(text: str) -> list[str]:
    """Return all mentions of PubMed numbers in a text: ``PMID: 123``."""
    return _PMID_MENTION.findall(text)


def identifiers_of(
    *,
    dois: Iterable[str] = (),
    arxiv: Iterable[str] = (),
    pmids: Iterable[str] = (),
    links: Iterable[str] = (),
) -> tuple[str, ...]:
    """Normalise the values of identifier fields; values that are not identifiers are ignored."""
    found = [
        *(normal_doi(doi) for text in dois for doi in _BETWEEN_DOIS.split(text)),
        *map(normal_arxiv, arxiv),
        *map(normal_pmid, pmids),
        *map(identifier_of_link, links),
    ]
    return tuple(dict.fromkeys(name for name in found if name))


def written_identifiers(text: str) -> tuple[str, ...]:
    """Return the identifiers that a text contains in normal form: ``doi:10.1234/abc``."""
    words = (word.removesuffix(";").partition(":") for word in text.split())
    found = (_NORMAL[kind](name) for kind, _, name in words if kind in _NORMAL)
    return tuple(dict.fromkeys(name for name in found if name))


def _is_closed(text: str) -> bool:
    """Return whether the closing bracket at the end of a text has an opening bracket."""
    close = text[-1]
    return text.count({")": "(", "]": "["}[close]) >= text.count(close)
