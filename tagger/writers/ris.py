"""RIS given back as it was, but for tags among the keywords (``KW``) of its records.

Lines are added and taken out; all others stay as they are to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tagger.readers.ris import FIELD, RisRecord, find_records

_TAG = "KW  - "


def add_ris_keywords(text: str, keywords: Sequence[Sequence[str]], ours: re.Pattern[str]) -> str:
    """Put keywords into the records of a RIS text.

    Parameters
    ----------
    text:
        The text, as read.
    keywords:
        Of each record in order.
    ours:
        What keywords of an earlier time match as a whole; they make room for the new ones.

    Raises
    ------
    TaggerError
        If a record has no end.
    """
    lines = text.split("\n")
    written: list[str] = []
    place = 0
    for record, added in zip(find_records(lines), keywords, strict=True):
        written += lines[place : record.start]
        written += _changed(lines, record, added, ours)
        place = record.end
    return "\n".join([*written, *lines[place:]])


def _changed(
    lines: Sequence[str], record: RisRecord, keywords: Sequence[str], ours: re.Pattern[str]
) -> list[str]:
    """Return the lines of a record up to its end line, new keywords after the last of its own."""
    ending = "\r" if lines[record.start].endswith("\r") else ""
    kept: list[str] = []
    after = None
    in_keywords = False
    # EndNote writes one keyword a line, and the tag before the first of them alone.
    tag_owed = False
    for line in lines[record.start : record.end]:
        if FIELD.match(line):
            in_keywords, tag_owed = line.startswith(_TAG.rstrip()), False
        if in_keywords:
            keyword = line[len(_TAG) :] if line.startswith(_TAG) else line
            if ours.fullmatch(keyword.strip()):
                tag_owed = tag_owed or line.startswith(_TAG)
                continue
            if tag_owed and keyword.strip():
                line, tag_owed = _TAG + line, False
        kept.append(line)
        if in_keywords and line.strip():
            after = len(kept)
    after = len(kept) if after is None else after
    new = [f"{_TAG}{keyword}{ending}" for keyword in keywords]
    return [*kept[:after], *new, *kept[after:]]
