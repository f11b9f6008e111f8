"""RIS given back as it was, but for tags among the keywords (``KW``) of its records.

Lines are added and taken out; all others stay as they are to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tagger.papers.readers.ris import FIELD, find_records

_TAG = "KW  - "


def add_ris_keywords(text: str, keywords: Sequence[Sequence[str]], ours: re.Pattern[str]) -> str:
    """Put the ``keywords`` of each record in order into a RIS text.

    Keywords that match ``ours`` as a whole are of an earlier time and make room for the new ones.
    """
    lines = text.split("\n")
    written: list[str] = []
    place = 0
    for (start, end), added in zip(find_records(lines), keywords, strict=True):
        written += lines[place:start]
        written += _changed(lines[start:end], added, ours)
        place = end
    return "\n".join([*written, *lines[place:]])


def _changed(record: Sequence[str], keywords: Sequence[str], ours: re.Pattern[str]) -> list[str]:
    """Return the lines of a record, new keywords after the last of its own."""
    ending = "\r" if record[0].endswith("\r") else ""
    kept: list[str] = []
    after = None
    in_keywords = False
    # EndNote writes one keyword a line, and the tag before the first of them alone.
    tag_owed = False
    for line in record:
        if FIELD.match(line):
            in_keywords, tag_owed = line.startswith(_TAG.rstrip()), False
        if in_keywords:
            keyword = line.removeprefix(_TAG)
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
