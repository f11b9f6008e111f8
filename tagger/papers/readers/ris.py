"""Reader for RIS files of Zotero, EndNote, Scopus, Web of Science, IEEE, Ovid, Cochrane and others.

Their dialects differ: one blank before the hyphen or two, fields before ``TY`` or no ``TY``,
records without ``ER``, text between records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.records import Layout, Notice, TaggedFields
from tagger.papers.readers.source import Source

_FIELD = re.compile(r"([A-Z][A-Z0-9])  -")
_LOOSE_FIELD = re.compile(r"[ \t]*([A-Z][A-Z0-9])[ \t]{0,4}-(?=\s|$)")
_LOOSE_START = re.compile(r"^(?:[ \t]*TY[ \t]?-(?!\S)|[ \t]+TY[ \t]+-(?!\S))", re.MULTILINE)
_TYPE = re.compile(r"^[ \t]*TY[ \t]{0,4}-(?!-)", re.MULTILINE)
_END = re.compile(r"[ \t]*ER[ \t]*-?\s*")
# Without TY: a title, and the end of a record or an author.
_UNTYPED = (
    re.compile(r"^(?:TI|T1)  - \S", re.MULTILINE),
    re.compile(r"^(?:ER|AU|A1)  -", re.MULTILINE),
)
_LAYOUT = Layout(
    titles=("TI", "T1", "CT", "BT"),
    abstracts=("AB", "N2"),
    dois=("DO", "DI", "L3"),
    links=("UR", "L1", "L2", "L4", "LK", "L3"),
    notes=("N1", "M1", "M3"),
    databases=("DB", "DP"),
    accession_numbers=("AN", "UI"),
    days=("DA", "Y1", "PY"),
)


def recognise(source: Source) -> bool:
    head = source.head
    return bool(_TYPE.search(head) or all(pattern.search(head) for pattern in _UNTYPED))


def read(source: Source) -> Iterator[Paper | TaggerError | Notice]:
    lines, _ = split_lines(source.text)
    field = field_pattern(lines)
    records = find_records(lines)
    for start, end in records:
        fields = TaggedFields.of(lines[start:end], field)
        yield _LAYOUT.paper(source, start + 1, fields.values_of)
    closed = [end < len(lines) and lines[end].strip().startswith("ER") for _, end in records]
    if any(closed) and not closed[-1]:
        yield Notice(
            f"the last record, in line {records[-1][0] + 1}, has no end (ER): it may be cut"
        )


def split_lines(text: str) -> tuple[list[str], str]:
    """Return the lines of a text, and the character between them: on old Macs a carriage return."""
    end = "\r" if "\r" in text and "\n" not in text else "\n"
    return text.split(end), end


def field_pattern(lines: Sequence[str]) -> re.Pattern[str]:
    """Return the pattern of the beginning of a field in this dialect; group 1 is the tag."""
    return _LOOSE_FIELD if any(map(_LOOSE_START.match, lines)) else _FIELD


def find_records(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Return the indices of the first line and of the line after the last one of each record.

    A record ends with ``ER``, which is not counted, or before the next ``TY``. In a file that has
    neither, it ends with a blank line.
    """
    field = field_pattern(lines)
    tags = [found[1] if (found := field.match(line)) else "" for line in lines]
    first = next(filter(None, tags), "")
    is_marked = "TY" in tags or any(map(_END.fullmatch, lines))
    records = list[tuple[int, int]]()
    start: int | None = None
    has_type, last, after_blank = False, 0, 0
    for number, (line, tag) in enumerate(zip(lines, tags, strict=True)):
        if tag == "ER" or _END.fullmatch(line):
            if start is not None:
                records.append((start, number))
            start = None
            continue
        is_blank = not line.strip()
        if start is not None and ((tag == "TY" and has_type) or (is_blank and not is_marked)):
            # Fields before TY belong to it, if they do in the first record.
            begin = after_blank if tag and first != "TY" and after_blank > start else number
            records.append((start, min(last, begin)))
            start, has_type = (begin if tag else None), False
        if tag and start is None:
            start, has_type = number, False
        if tag and number and not lines[number - 1].strip():
            after_blank = number
        has_type = has_type or tag == "TY"
        last = last if is_blank else number + 1
    return [*records, (start, last)] if start is not None else records
