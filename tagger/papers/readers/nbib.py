"""Reader for PubMed's text format (``.nbib``), the MEDLINE display of tagged fields.

Layout and tags as in https://www.ncbi.nlm.nih.gov/books/NBK3827/ ("MEDLINE Display Format"): a tag
of up to four letters, ``- ``, the value; further lines of a value begin with blanks.
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
    """Tell PubMed's text format by its first record."""
    return _START.match(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the papers of a PubMed text file, or why a record is none."""
    for line, lines in _records(source):
        fields = TaggedFields.of(lines, _FIELD)
        # Of an article, a book, and an article in another language.
        titles = fields.values_of("TI", "BTI", "TT")
        abstract = " ".join(fields.values_of("AB"))
        dois = [name for name in fields.values_of("LID", "AID") if name.endswith(_DOI_MARK)]
        identifiers = identifiers_of(
            dois=[name.removesuffix(_DOI_MARK) for name in dois], pmids=fields.values_of("PMID")
        )
        yield make_paper(source, line, titles, [abstract], identifiers)


def _records(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of each record, with the number of the first."""
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
                    "this line is neither a field nor goes on with one",
                    line=number,
                    hint="A record begins with 'PMID- ', and a longer value goes on after blanks",
                )
            if line:
                lines.append(line)
    if lines:
        yield start, lines
