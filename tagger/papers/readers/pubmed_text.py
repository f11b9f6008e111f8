"""Reader for the numbered lists of PubMed: its text formats "Abstract" and "Summary", and the plain
text of My NCBI's e-mails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.blocks import is_abstract
from tagger.papers.readers.identifiers import identifiers_of, mentions
from tagger.papers.readers.records import make_paper, numbered_entries, paragraphs_of
from tagger.papers.readers.source import Source

_START = re.compile(r"^\s*1[.:] +\S", re.MULTILINE)
_PMID = re.compile(r"\bPMID: ?\d+")
_CITATION = re.compile(r"[^\n]*\b(?:18|19|20)\d\d\b[^\n]*(?:[;:]|doi)", re.IGNORECASE)
_SUMMARY = re.compile(r"([^.]+)\. (?P<title>.+?[.?!]) [^.]+(?:\.[^.]+)?\. (?:18|19|20)\d\d\b")
_NOT_ABSTRACT = re.compile(
    r"Author information|Comment (?:in|on)|Erratum|Update (?:in|of)|Republished|Collaborators"
    r"|\[Article in|Free (?:PMC )?article|Similar articles|Abstract\s*$|PMID|PMCID|DOI",
    re.IGNORECASE,
)
_AFTER = re.compile(r"\u00a9|Copyright|Conflict of interest|Publication type")


def recognise(source: Source) -> bool:
    return bool(_START.search(source.head) and _PMID.search(source.head))


def read(source: Source) -> Iterator[Paper | TaggerError]:
    for _, line, lines in numbered_entries(source.text):
        paragraphs = paragraphs_of(lines)
        if len(paragraphs) == 1:
            # E-mails have no blank lines between the fields of a paper.
            paragraphs = [text for each in lines if (text := each.strip())]
        text = " ".join(paragraphs)
        if not _PMID.search(text):
            yield TaggerError("this entry has no PubMed number (PMID)", line=line)
            continue
        title, abstract = _split(paragraphs)
        identifiers = identifiers_of(
            dois=mentions("doi", text)[:1], pmids=mentions("pmid", text[text.rindex("PMID") :])
        )
        yield make_paper(source, line, [title], [abstract], identifiers)


def _split(paragraphs: list[str]) -> tuple[str, str]:
    if summary := _SUMMARY.match(paragraphs[0]):
        return summary["title"], ""
    # The citation comes first in PubMed's files, the title in its e-mails.
    is_title_first = not _CITATION.match(paragraphs[0])
    title, *others = paragraphs[not is_title_first :] or [""]
    kept = []
    for text in others[1:]:
        if _AFTER.match(text):
            break
        if not _NOT_ABSTRACT.match(text) and not _CITATION.match(text):
            kept.append(text)
    return title, " ".join(kept) if is_abstract(" ".join(kept)) else ""
