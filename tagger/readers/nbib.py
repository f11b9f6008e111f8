"""Reader for PubMed's text format (``.nbib``), the MEDLINE display of tagged fields.

Layout and tags as in https://www.ncbi.nlm.nih.gov/books/NBK3827/ ("MEDLINE Display Format"): a tag
of up to four letters, ``- ``, the value; further lines of a value begin with blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.cleaning import clean_marked_up_text
from tagger.readers.identifiers import identifiers_of
from tagger.readers.placeholders import is_no_title
from tagger.readers.source import Source

_FIELD = re.compile(r"([A-Z][A-Z0-9]{1,3}) {0,2}-(?: (.*)|$)")
_START = re.compile(r"^PMID- ?\d", re.MULTILINE)
_DOI_MARK = " [doi]"
_TITLES = ("TI", "BTI", "TT")
"""Of an article, a book, and an article in another language."""


@dataclass(slots=True)
class _Record:
    line: int
    fields: dict[str, list[str]] = field(default_factory=dict)

    def values(self, tag: str) -> list[str]:
        return self.fields.get(tag, [])


def is_nbib(source: Source) -> bool:
    """Tell PubMed's text format by its first record."""
    return not source.is_folder and bool(
        _START.match(source.head) or source.path.suffix.lower() == ".nbib"
    )


def read_nbib(source: Source) -> Iterator[Paper]:
    """Yield the papers of a PubMed text file, in order and with repeats.

    Parameters
    ----------
    source:
        The file.

    Raises
    ------
    TaggerError
        If it holds no record, a line is of no field, or a record has no title; the line is given.
    """
    empty = True
    for record in _records(source):
        values = (value for tag in _TITLES for value in record.values(tag))
        titles = map(clean_marked_up_text, values)
        title = next((text for text in titles if text and not is_no_title(text)), "")
        if not title:
            raise TaggerError(
                "this record has no title",
                path=source.path,
                line=record.line,
                hint="Give it one (TI  - ), or take it out",
            )
        dois = [
            value.removesuffix(_DOI_MARK)
            for tag in ("LID", "AID")
            for value in record.values(tag)
            if value.endswith(_DOI_MARK)
        ]
        abstract = clean_marked_up_text(" ".join(record.values("AB")))
        identifiers = identifiers_of(dois=dois, pmids=record.values("PMID"))
        yield Paper(title, abstract, (source.name,), identifiers=identifiers)
        empty = False
    if empty:
        raise TaggerError("no records in this PubMed file", path=source.path)


def _records(source: Source) -> Iterator[_Record]:
    record: _Record | None = None
    values: list[str] = []
    with source.open_text("\n") as file:
        for number, line in enumerate(file, start=1):
            line = line.rstrip()
            found = _FIELD.fullmatch(line)
            if found and found[1] == "PMID":
                if record:
                    yield record
                record = _Record(number)
            if found and record:
                values = record.fields.setdefault(found[1], [])
                values.append(found[2] or "")
            elif line.startswith(" ") and values:
                values[-1] += " " + line.strip()
            elif line:
                raise TaggerError(
                    "this line is neither a field nor goes on with one",
                    line=number,
                    hint="A record begins with 'PMID- ', and a longer value goes on after blanks",
                )
    if record:
        yield record
