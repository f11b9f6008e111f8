"""Reader for RIS, as Zotero, EndNote, Scopus, Web of Science and IEEE write it.

Records are told apart here, so that one that is cut off is named with its line; rispy reads each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.cleaning import clean_marked_up_text
from tagger.readers.identifiers import arxiv_mentions, identifiers_of, pmid_mentions
from tagger.readers.source import Source

FIELD = re.compile(r"[A-Z][A-Z0-9]  -")
"""How a line with a field begins."""
_START = re.compile(r"^TY  -", re.MULTILINE)
_PUBMED_NAMES = ("pubmed", "medline", "nlm")


@dataclass(frozen=True, slots=True)
class RisRecord:
    """Where a record stands among the lines: its ``TY`` line and its ``ER`` line, from 0."""

    start: int
    end: int


def is_ris(source: Source) -> bool:
    """Tell a RIS file by its first record, or by its name if that comes late."""
    return not source.is_folder and bool(
        _START.search(source.head) or source.path.suffix.lower() == ".ris"
    )


def read_ris(source: Source) -> list[Paper]:
    """Read the papers of a RIS file, in order and with repeats.

    Parameters
    ----------
    source:
        The file.

    Raises
    ------
    TaggerError
        If it holds no record, a record has no end, or no title; the line is given.
    """
    import rispy

    lines = source.text.split("\n")
    papers = []
    for record in find_records(lines):
        [fields] = rispy.loads("\n".join(_joined(lines[record.start : record.end + 1])))
        unknown = fields.get("unknown_tag", {})
        title = _first_text(
            fields.get("title"), fields.get("primary_title"), *unknown.get("BT", ())
        )
        if not title:
            raise TaggerError(
                "this record has no title",
                path=source.path,
                line=record.start + 1,
                hint="Give it one (TI  - ), or take it out",
            )
        abstract = _first_text(fields.get("abstract"), fields.get("notes_abstract"))
        papers.append(Paper(title, abstract, (source.name,), identifiers=_identifiers(fields)))
    if not papers:
        raise TaggerError("no records in this RIS file", path=source.path)
    return papers


def find_records(lines: Sequence[str]) -> list[RisRecord]:
    """Find the records of a RIS file.

    Raises
    ------
    TaggerError
        If a record has no end, or a second one begins within it; the line is given.
    """
    records = []
    start = None
    for number, line in enumerate(lines):
        tag = line[:2] if FIELD.match(line) else None
        if tag == "TY":
            if start is not None:
                raise _unended(start)
            start = number
        elif tag == "ER" and start is not None:
            records.append(RisRecord(start, number))
            start = None
    if start is not None:
        raise _unended(start)
    return records


def _joined(lines: Sequence[str]) -> list[str]:
    """Join lines that go on with one value: rispy copies all of it for each of them.

    Of fields with several values, such as links, each line is one.
    """
    from rispy import RisParser

    joined: list[list[str]] = []
    goes_on = False
    for line in lines:
        if FIELD.match(line):
            goes_on = line[:2] not in RisParser.DEFAULT_LIST_TAGS
            joined.append([line])
        elif goes_on:
            joined[-1].append(line.strip())
        else:
            joined.append([line])
    return [" ".join(parts) for parts in joined]


def _unended(start: int) -> TaggerError:
    return TaggerError(
        "this record has no end", line=start + 1, hint="A record ends with a line 'ER  - '"
    )


def _first_text(*values: str | None) -> str:
    cleaned = (clean_marked_up_text(value) for value in values if value)
    return next((text for text in cleaned if text), "")


def _identifiers(fields: Mapping[str, Any]) -> tuple[str, ...]:
    notes = " ".join((*fields.get("notes", ()), fields.get("note", "")))
    database = f"{fields.get('name_of_database', '')} {fields.get('database_provider', '')}"
    is_pubmed = any(name in database.lower() for name in _PUBMED_NAMES)
    return identifiers_of(
        dois=[fields.get("doi", "")],
        arxiv=arxiv_mentions(notes),
        pmids=[
            *([fields.get("accession_number", "")] if is_pubmed else ()),
            *pmid_mentions(notes),
        ],
        links=fields.get("urls", ()),
    )
