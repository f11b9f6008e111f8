"""Reader for the Refer format (``.enw``) that EndNote, Google Scholar and others export.

A field is ``%``, one character, a blank and a value, which may continue in the next lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import (
    arxiv_mentions,
    doi_mentions,
    identifiers_of,
    pmid_mentions,
)
from tagger.papers.readers.records import TaggedFields, make_paper, tagged_records
from tagger.papers.readers.source import Source

_FIELD = re.compile(r"%([^\s%\w]|[0-9A-Z])(?: |\s*$)")
_START = re.compile(r"%[0-9A-Z](?: [^\n]*)?\r?$", re.MULTILINE)
_TITLE = re.compile(r"^%T \S", re.MULTILINE)
_PUBMED = re.compile(r"pubmed|medline|nlm", re.IGNORECASE)


def recognise(source: Source) -> bool:
    """Recognise Refer by a field in the first line, and a title."""
    return bool(_START.match(source.head) and _TITLE.search(source.head))


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each record, or an error for an invalid record."""
    starts = ("0",) if re.search(r"^%0", source.head, re.MULTILINE) else ()
    for line, lines in tagged_records(source, _FIELD, starts=starts):
        fields = TaggedFields.of(lines, _FIELD)
        from_pubmed = _PUBMED.search(" ".join(fields.values_of("~", "W")))
        notes = " ".join(fields.values_of("Z", "1", "J", "N"))
        identifiers = identifiers_of(
            dois=[*fields.values_of("R"), *doi_mentions(notes)],
            arxiv=arxiv_mentions(notes),
            pmids=[*(fields.values_of("M") if from_pubmed else ()), *pmid_mentions(notes)],
            links=" ".join(fields.values_of("U", "R", ">")).split(),
        )
        titles = fields.values_of("T", "!", "Q")
        yield make_paper(source, line, titles, fields.joined("X"), identifiers)
