"""Reader for PubMed's text format (``.nbib``), the MEDLINE display of tagged fields.

A field is a tag of up to four letters, ``- ``, and a value; continuation lines begin with spaces.
See https://www.ncbi.nlm.nih.gov/books/NBK3827/ ("MEDLINE Display Format").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import identifiers_of
from tagger.papers.readers.records import TaggedFields, make_paper
from tagger.papers.readers.source import Source

_FIELD = re.compile(r"([A-Z][A-Z0-9]{1,3}) {0,2}-(?: |$)")
_START = re.compile(r"^PMID- ?\d", re.MULTILINE)
_DOI_MARK = " [doi]"


def recognise(source: Source) -> bool:
    """Recognise PubMed's text format by its first record."""
    return _START.match(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each record of a PubMed text file, or an error for an invalid record."""
    for line, lines in _records(source):
        fields = TaggedFields.of(lines, _FIELD)
        # Titles of an article, of a book, and of an article in its original language.
        titles = fields.values_of("TI", "BTI", "TT")
        abstract = " ".join(fields.values_of("AB"))
        dois = [name for name in fields.values_of("LID", "AID") if name.endswith(_DOI_MARK)]
        identifiers = identifiers_of(
            dois=[name.removesuffix(_DOI_MARK) for name in dois], pmids=fields.values_of("PMID")
        )
        yield make_paper(source, line, titles, [abstract], identifiers)


def _records(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of each record with the number of the first line."""
    start, lines = 0, list[str]()
    with source.open_text("\n") as file:
        for number, line in enumerate(file, start=1):
            line = line.rstrip()
            found = _FIELD.match(line)
            if found and found[1] == "PMID":
                if lines:
                    yield start, lines
                start, lines = number, []
            elif line and not (start and (found or line.startswith(" "))):
                raise TaggerError(
                    "this line is neither a field nor the continuation of one",
                    line=number,
                    hint="Begin a record with 'PMID- ', and continuation lines with spaces",
                )
            if line:
                lines.append(line)
    if lines:
        yield start, lines
