"""Normalise the identifiers of papers.

The normal forms are ``doi:10.1234/abc`` in lower case (DOI names are case-insensitive, DOI
Handbook, 2.4), ``arxiv:2101.00001`` without version, ``pmid:123``, ``openalex:w123``, and the two
ids of Semantic Scholar, ``s2:`` with 40 hexadecimal digits and ``corpusid:123``. A DOI registered
by arXiv becomes the arXiv id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from tagger.papers.readers.cleaning import unescape

_DOI = re.compile(r"(?<![\w.])10\.\d{4,9}(?:\.\d+)*/\S+")
_MAX_DOI = 2048
"""Characters. DOIs in use are far shorter; the limit bounds the running time."""
_UNDECODED = re.compile("[\ud800-\udfff]")
"""Bytes that are not text; they cannot be written."""
# A semicolon may also be part of a DOI.
_BETWEEN_DOIS = re.compile(r";\s*(?=(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?10\.\d{4,9})", re.I)
# Blanks inside a DOI, from line breaks: next to punctuation, unless a note or a sentence follows.
_BLANK_IN_DOI = re.compile(r"(?<=[\w/.(:;<>-])\s+(?=[/._:;<>)-])|(?<=[/._(:;<>-])\s+(?=[a-z\d(])")
_TWO_WORDS = re.compile(r"(10\.\d{4,9}/\S*\w)\s+(\w\S*)")
_DOI_OF_ARXIV = "10.48550/arxiv."
# https://info.arxiv.org/help/arxiv_identifier.html: YYMM.number since 2007, archive/YYMMnumber
# before. The subject class of an archive, as in math.GT/0309136, is not part of the identity.
_ARXIV = re.compile(
    r"(?<![\w./])(?:(\d\d(?:0[1-9]|1[0-2])\.\d{4,5})|([a-z]{1,9}(?:-[a-z]{1,9})?)(?:\.[a-z]{2})?"
    r"/(\d{7}))"
    r"(?:v\d+)?(?![\w/])(?!\.\d)",
    re.IGNORECASE,
)
_MENTIONS = {
    "doi": re.compile(
        r"(?:doi(?:\.org/|\s*:)|electronic-resource-num:)\s*10\.\d{4,9}(?:(?!<br)\S)*",
        re.IGNORECASE,
    ),
    "arxiv": re.compile(r"arxiv\s*:\s*\S+", re.IGNORECASE),
    "pmid": re.compile(r"pmid\s*:?\s*\d+", re.IGNORECASE),
}
_OF_OTHERS = re.compile(
    r"\b(?:see|cf|compare|related|erratum|correct(?:s|ion)|retract(?:s|ion)|extends"
    r"|replaces|cites|comment(?:ary)? (?:on|in)|(?:reply|response|supplement|sequel) to"
    r"|(?:version|part|translation|review) of)\b[^;\n]{0,200}",
    re.IGNORECASE,
)
"""The part of a note that mentions another paper, up to a semicolon."""
_ARCHIVE = re.compile(
    "acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas"
    "|cond-mat|cs|dg-ga|econ|eess|funct-an|gr-qc|hep-(?:ex|lat|ph|th)|math|math-ph|mtrl-th|nlin"
    "|nucl-ex|nucl-th|patt-sol|physics|plasm-ph|q-alg|q-bio|q-fin|quant-ph|solv-int|stat|supr-con",
    re.IGNORECASE,
)
_GUID = re.compile(r"oai:arxiv\.org:(\S+)", re.IGNORECASE)
_WHOLE = {
    # Web of Science writes MEDLINE before PubMed numbers.
    "pmid": re.compile(r"(?:(?:pmid|medline)\s*:?\s*)?0*([1-9]\d{0,8})", re.IGNORECASE),
    "openalex": re.compile(
        r"(?:https?://(?:api\.)?openalex\.org/(?:works/)?)?(w\d{1,12})", re.IGNORECASE
    ),
    "s2": re.compile(r"([0-9a-f]{40})", re.IGNORECASE),
    "corpusid": re.compile(r"(?:corpusid:)?([0-9]+)", re.IGNORECASE),
}
"""Patterns of texts that are an identifier, group 1 its name."""
_LINKS = {
    # Publishers put the DOI below doi, article or chapter, PLOS into a query; bioRxiv and medRxiv
    # add a version to it.
    "doi": re.compile(
        r"https?://(?:(?:www\.|dx\.)?doi\.org"
        r"|[\w.-]+/(?:doi|articles?|chapter)(?:/(?:abs|full|pdf|epdf|pdfdirect|epub))?"
        r"|[\w.-]+/\w+/article\?id=|(?:www\.)?(?:bio|med)rxiv\.org/content)"
        r"/?(10\.\d{4,9}/[^?#&\s]+?)"
        r"(?:/(?:abstract|summary|full|pdf|epdf)|\.pdf|(?<=\d{6})(?:v\d|\.full|\.abs)[^?#&\s]*)?(?=[?#&\s]|$)",
        re.IGNORECASE,
    ),
    "arxiv": re.compile(
        r"https?://(?:(?:[\w-]+\.)?arxiv\.org/(?:abs|pdf|html|format)|(?:www\.)?alphaxiv\.org/abs"
        r"|huggingface\.co/papers|ar5iv(?:\.labs)?\.(?:arxiv\.)?org/(?:abs|html))/([^?#&\s]+)",
        re.IGNORECASE,
    ),
    "pmid": re.compile(
        r"https?://(?:pubmed\.ncbi\.nlm\.nih\.gov|(?:www\.)?ncbi\.nlm\.nih\.gov/pubmed|pubmed\.gov"
        r"|europepmc\.org/(?:article|abstract)/med)/(\d+)",
        re.IGNORECASE,
    ),
    "openalex": re.compile(
        r"(https?://(?:api\.)?openalex\.org/(?:works/)?w\d{1,12})", re.IGNORECASE
    ),
    "s2": re.compile(
        r"https?://(?:www\.|api\.)?semanticscholar\.org/paper/(?:[^/?#\s]+/)?([0-9a-f]{40})",
        re.IGNORECASE,
    ),
    "corpusid": re.compile(r"https?://api\.semanticscholar\.org/corpusid:(\d+)", re.IGNORECASE),
}


def normal_doi(text: str) -> str | None:
    """Return the normalised DOI in a text, or None.

    ``https://doi.org/10.1234/ABC`` and ``DOI: 10.1234/abc.`` become ``doi:10.1234/abc``.
    """
    # Reference managers escape DOIs for LaTeX, browsers for URLs, publishers for HTML.
    text = re.sub(r"\\(?=\W|_)|[{}\u200b\u2060\ufeff\u00ad]", "", unescape(unquote(text)))
    text = _BLANK_IN_DOI.sub("", text[: 2 * _MAX_DOI])
    if words := _TWO_WORDS.fullmatch(text.strip()):
        text = words[1] + words[2]
    found = _DOI.search(text)
    if not found or len(found[0]) > _MAX_DOI or _UNDECODED.search(found[0]):
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


def normal_form(kind: str, text: str) -> str | None:
    """Return the normalised identifier of a kind that a text has (DOI, arXiv) or is, or None."""
    if kind in _WHOLE:
        found = _WHOLE[kind].fullmatch(text.strip())
        return f"{kind}:{found[1].lower()}" if found else None
    return normal_doi(text) if kind == "doi" else normal_arxiv(text)


def identifier_of_link(link: str) -> str | None:
    """Return the identifier in a link to doi.org, arXiv, PubMed, OpenAlex or Semantic Scholar.

    The target of a redirecting link, such as those of Google Scholar, is searched, too.
    """
    for text in (link, unquote(link)):
        for kind, pattern in _LINKS.items():
            if found := pattern.search(text):
                return normal_form(kind, found[1])
    return None


def bare_arxiv(text: str) -> str | None:
    """Return the arXiv id that ``text`` consists of: ``2101.00001``, ``hep-th/9901001v2``."""
    text = text.strip()
    found = _ARXIV.fullmatch(re.sub(r"^arxiv:\s*", "", text, flags=re.IGNORECASE))
    if not found or (found[2] and not _ARCHIVE.fullmatch(found[2])):
        return None
    return normal_arxiv(found[0])


def mentions(kind: str, text: str) -> list[str]:
    """Return all mentions of identifiers of a kind: ``doi: 10.1234/abc``, ``PMID: 123``."""
    return _MENTIONS[kind].findall(text)


def identifiers_of(
    *,
    dois: Iterable[str] = (),
    arxiv: Iterable[str] = (),
    pmids: Iterable[str] = (),
    links: Iterable[str] = (),
    notes: str = "",
) -> tuple[str, ...]:
    """Normalise the values of identifier fields, and the identifiers that notes mention.

    Values that are not identifiers are ignored, and so is what notes say of other papers.
    """
    notes = _OF_OTHERS.sub(" ", notes)
    dois = [*dois, *mentions("doi", notes)]
    found = [
        *(normal_doi(doi) for text in dois for doi in _BETWEEN_DOIS.split(text)),
        *map(normal_arxiv, [*arxiv, *mentions("arxiv", notes)]),
        *(normal_form("pmid", text) for text in [*pmids, *mentions("pmid", notes)]),
        *map(identifier_of_link, links),
    ]
    return tuple(dict.fromkeys(name for name in found if name))


def written_identifiers(text: str) -> tuple[str, ...]:
    """Return the identifiers that the words of a text are, also as links and bare ids."""
    return tuple(dict.fromkeys(name for word in text.split() if (name := _written(word))))


def _written(word: str) -> str | None:
    word = word.removesuffix(";")
    kind, _, name = word.partition(":")
    # Semantic Scholar says PubMed.
    kind = {"pubmed": "pmid"}.get(kind.lower(), kind.lower())
    if kind in _LINKS:
        return normal_form(kind, name) or identifier_of_link(name)
    if guid := _GUID.fullmatch(word):
        return normal_arxiv(guid[1])
    doi = normal_doi(word) if word.startswith("10.") else None
    return identifier_of_link(word) or bare_arxiv(word) or normal_form("s2", word) or doi


def _is_closed(text: str) -> bool:
    """Return whether the closing bracket at the end of a text has an opening bracket."""
    close = text[-1]
    return text.count({")": "(", "]": "["}[close]) >= text.count(close)
