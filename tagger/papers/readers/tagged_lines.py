"""Readers for text formats whose lines begin with field tags or names: Refer, Web of Science,
RefWorks, Ovid, PubMed's nbib.

A value may continue in the next lines. :mod:`.ris` reads RIS and Ovid's tagged format.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.records import Layout, TaggedFields
from tagger.papers.readers.source import Source


@dataclass(frozen=True)
class TaggedLines:
    """A reader of a format of tagged lines.

    Parameters
    ----------
    marks, excluded:
        Each of the ``marks`` must be found in the beginning of a file, ``excluded`` must not.
    field:
        Matches the beginning of a line that starts a value; group 1 is the tag.
    layout:
        The tags of the parts of a paper.
    starts, ends:
        Tags with which a record begins, and those before which it ends. If the first record begins
        with another tag, records are separated by blank lines.
    """

    marks: tuple[re.Pattern[str], ...]
    field: re.Pattern[str]
    layout: Layout
    starts: Collection[str]
    ends: Collection[str] = ()
    excluded: re.Pattern[str] | None = None

    def recognise(self, source: Source) -> bool:
        head = source.head
        if self.excluded and self.excluded.search(head):
            return False
        return all(mark.search(head) for mark in self.marks)

    def read(self, source: Source) -> Iterator[Paper | TaggerError]:
        for line, lines in self._records(source):
            fields = TaggedFields.of(lines, self.field)
            yield self.layout.paper(source, line, fields.values_of)

    def _records(self, source: Source) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of the first line and the lines of each record.

        Text above the first field is skipped.
        """
        tags = filter(None, map(self._tag, source.head.splitlines()))
        has_starts = next((tag for tag in tags if tag not in self.ends), "") in self.starts
        start, lines, after_blank = 0, list[str](), False
        with source.open_text() as file:
            for number, line in enumerate(file, start=1):
                line = line.rstrip()
                tag = self._tag(line)
                begins = tag in self.starts if has_starts else tag and after_blank
                if lines and (begins or tag in self.ends):
                    yield start, lines
                    lines = []
                if line and tag not in self.ends and (lines or tag):
                    start = start if lines else number
                    lines.append(line)
                after_blank = not line
        if lines:
            yield start, lines

    def _tag(self, line: str) -> str:
        found = self.field.match(line)
        return found[1] if found else ""


# EndNote, Google Scholar and others export it, often as ``.enw``.
REFER = TaggedLines(
    marks=(
        re.compile(r"\A%[0-9A-Z](?: [^\n]*)?\r?$", re.MULTILINE),
        re.compile(r"^%T \S", re.MULTILINE),
    ),
    field=re.compile(r"%([^\s%\w]|[0-9A-Z])(?: |\s*$)"),
    layout=Layout(
        titles=("T", "!", "Q"),
        abstracts=("X",),
        dois=("R",),
        links=("U", "R", ">"),
        notes=("Z", "1", "J", "N"),
        databases=("~", "W"),
        accession_numbers=("M",),
        days=("8",),
    ),
    starts=("0",),
)

# ``savedrecs.txt``, ``.ciw``, ``.isi``, see
# https://images.webofknowledge.com/images/help/WOS/hs_wos_fieldtags.html.
WEB_OF_SCIENCE = TaggedLines(
    marks=(
        re.compile(
            r"\A(?:FN [^\n]*|PT \w[^\n]*\n(?:[A-Z][A-Z0-9 ] [^\n]*\n)*?(?:AU|TI|SO) \S)",
            re.MULTILINE,
        ),
    ),
    field=re.compile(r"([A-Z][A-Z0-9])(?: |\s*$)"),
    layout=Layout(titles=("TI",), abstracts=("AB",), dois=("DI",), pmids=("PM", "UT")),
    starts=("PT",),
    ends=("FN", "VR", "ER", "EF"),
)

REFWORKS = TaggedLines(
    marks=(re.compile(r"^RT \w", re.MULTILINE), re.compile(r"^T1 \S", re.MULTILINE)),
    field=re.compile(r"([A-Z][A-Z0-9])(?: |\s*$)"),
    layout=Layout(
        titles=("T1",), abstracts=("AB",), dois=("DO",), links=("LK", "UL"), notes=("NO",)
    ),
    starts=("RT",),
)

# Ovid writes a number in angle brackets, then names of fields and, indented, their values.
OVID = TaggedLines(
    marks=(
        re.compile(r"\A<\d+\.? ?>\s*$", re.MULTILINE),
        re.compile(r"^Title\s*\n[ \t]+\S", re.MULTILINE),
    ),
    field=re.compile(r"(<|[A-Z][\w /()-]{1,40}?)(?:\d+\.? ?>)?\s*$"),
    layout=Layout(
        titles=("Title", "Original Title"),
        abstracts=("Abstract",),
        dois=("DOI Number", "Digital Object Identifier", "DOI"),
        databases=("Database",),
        accession_numbers=("Unique Identifier", "Accession Number"),
    ),
    starts=("<",),
)

# "MEDLINE Display Format" of https://www.ncbi.nlm.nih.gov/books/NBK3827/. ERIC also writes it,
# without PMID, but with tags of three and four letters, which RIS does not have.
NBIB = TaggedLines(
    marks=(
        re.compile(r"^(?:PMID ?- ?\d|(?:OWN|STAT|OID|ISSN|LID|FAU) ?- )", re.MULTILINE),
        re.compile(r"^(?:PMID ?- ?\d|(?:TI|BTI|TT) {1,2}- \S)", re.MULTILINE),
    ),
    field=re.compile(r"([A-Z][A-Z0-9]{1,3}) {0,2}-(?: |$|(?=\d+\s*$))"),
    layout=Layout(
        # Titles of an article, of a book, and of an article in its original language.
        titles=("TI", "BTI", "TT"),
        abstracts=("AB",),
        dois=("LID", "AID"),
        pmids=("PMID",),
        links=("LID", "UR", "4099", "URL"),
        days=("CRDT", "EDAT", "DEP", "DP"),
    ),
    starts=("PMID",),
    excluded=re.compile(r"^[ \t]*TY {1,2}-", re.MULTILINE),
)
