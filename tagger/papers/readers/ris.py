"""Reader for RIS files of Zotero, EndNote, Scopus, Web of Science, IEEE and others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import arxiv_mentions, identifiers_of, pmid_mentions
from tagger.papers.readers.records import TaggedFields, make_paper
from tagger.papers.readers.source import Source

FIELD = re.compile(r"([A-Z][A-Z0-9])  -")
"""The beginning of a line with a field."""
_START = re.compile(r"^TY  -", re.MULTILINE)
_PUBMED = re.compile(r"pubmed|medline|nlm", re.IGNORECASE)
_BETWEEN_LINKS = re.compile(r"[;\s]+")


def recognise(source: Source) -> bool:
    """Recognise a RIS file by its first record."""
    return _START.search(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each record of a RIS file, or an error for an invalid record."""
    lines = source.text.split("\n")
    for start, end in find_records(lines):
        fields = TaggedFields.of(lines[start:end], FIELD)
        titles, abstracts = fields.values_of("TI", "T1", "BT"), fields.values_of("AB", "N2")
        yield make_paper(source, start + 1, titles, abstracts, _identifiers(fields))


def find_records(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Return the indices of the ``TY`` and ``ER`` lines of each record."""
    records = []
    start = None
    for number, line in enumerate([*lines, "TY  - "]):
        tag = line[:2] if FIELD.match(line) else None
        if tag == "TY":
            if start is not None:
                hint = "End the record with a line 'ER  - '"
                raise TaggerError("this record is not closed", line=start + 1, hint=hint)
            start = number
        elif tag == "ER" and start is not None:
            records.append((start, number))
            start = None
    return records


def _identifiers(fields: TaggedFields) -> tuple[str, ...]:
    notes = " ".join(fields.values_of("N1", "M1"))
    from_pubmed = _PUBMED.search(" ".join(fields.values_of("DB", "DP")))
    links = " ".join(fields.values_of("UR"))
    return identifiers_of(
        dois=fields.values_of("DO"),
        arxiv=arxiv_mentions(notes),
        pmids=[*(fields.values_of("AN") if from_pubmed else ()), *pmid_mentions(notes)],
        links=_BETWEEN_LINKS.split(links),
    )
