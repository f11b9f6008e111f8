"""Reader for PubMed's text format (``.nbib``), the MEDLINE display of tagged fields, also of ERIC.

A field is a tag of up to four letters, ``- ``, and a value; continuation lines begin with spaces.
See https://www.ncbi.nlm.nih.gov/books/NBK3827/ ("MEDLINE Display Format").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import identifiers_of
from tagger.papers.readers.records import TaggedFields, make_paper, tagged_records
from tagger.papers.readers.source import Source

_FIELD = re.compile(r"([A-Z][A-Z0-9]{1,3}) {0,2}-(?: |$|(?=\d+\s*$))")
_START = re.compile(r"^PMID ?- ?\d", re.MULTILINE)
# ERIC has no PMID, but like PubMed tags of three and four letters, which RIS has not.
_LONG_TAG = re.compile(r"^(?:OWN|STAT|OID|ISSN|LID|FAU) ?- ", re.MULTILINE)
_RIS = re.compile(r"^[ \t]*TY {1,2}-", re.MULTILINE)
_TITLE = re.compile(r"^(?:TI|BTI|TT) {1,2}- \S", re.MULTILINE)
_NUMBER = "PMID"
_DOI_MARK = " [doi]"
_LINKS = ("LID", "UR", "4099", "URL")


def recognise(source: Source) -> bool:
    """Recognise PubMed's text format by its first record."""
    head = source.head
    is_tagged = _START.search(head) or (_LONG_TAG.search(head) and _TITLE.search(head))
    return bool(is_tagged) and not _RIS.search(head)


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each record of a PubMed text file, or an error for an invalid record."""
    starts = (_NUMBER,) if _START.search(source.head) else ()
    for line, lines in tagged_records(source, _FIELD, starts=starts):
        fields = TaggedFields.of(lines, _FIELD)
        # Titles of an article, of a book, and of an article in its original language.
        titles = fields.values_of("TI", "BTI", "TT")
        dois = [name for name in fields.values_of("LID", "AID") if name.endswith(_DOI_MARK)]
        identifiers = identifiers_of(
            dois=[name.removesuffix(_DOI_MARK) for name in dois],
            pmids=fields.values_of(_NUMBER),
            links=fields.values_of(*_LINKS),
        )
        yield make_paper(source, line, titles, fields.joined("AB"), identifiers)
