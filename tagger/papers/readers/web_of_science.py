"""Reader for the plain text of Web of Science (``savedrecs.txt``, ``.ciw``, ``.isi``).

A field is a tag of two characters, a blank and a value; continuation lines begin with blanks. See
https://images.webofknowledge.com/images/help/WOS/hs_wos_fieldtags.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import identifiers_of
from tagger.papers.readers.records import TaggedFields, make_paper, tagged_records
from tagger.papers.readers.source import Source

_FIELD = re.compile(r"([A-Z][A-Z0-9])(?: |\s*$)")
_START = re.compile(
    r"(?:FN [^\n]*|PT \w[^\n]*\n(?:[A-Z][A-Z0-9 ] [^\n]*\n)*?(?:AU|TI|SO) \S)", re.MULTILINE
)
_MEDLINE = "MEDLINE:"


def recognise(source: Source) -> bool:
    """Recognise the text by its file name field (``FN``), or by the fields of its first record."""
    return _START.match(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each record, or an error for an invalid record."""
    for line, lines in tagged_records(source, _FIELD, starts=("PT",), ends=("ER", "EF")):
        fields = TaggedFields.of(lines, _FIELD)
        if not fields.keys() - {"FN", "VR"}:
            continue
        accession = [
            name.removeprefix(_MEDLINE) for name in fields.values_of("UT") if _MEDLINE in name
        ]
        identifiers = identifiers_of(
            dois=fields.values_of("DI"), pmids=[*fields.values_of("PM"), *accession]
        )
        yield make_paper(source, line, fields.values_of("TI"), fields.joined("AB"), identifiers)
