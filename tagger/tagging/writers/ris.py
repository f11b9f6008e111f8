"""Add tags to the keywords (``KW``) of RIS records.

Only lines of keywords are added or removed; all other bytes stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tagger.papers.readers.ris import field_pattern, find_records, split_lines

_TAG = "KW  - "


def add_ris_keywords(text: str, keywords: Sequence[Sequence[str]], ours: re.Pattern[str]) -> str:
    """Return a RIS text with ``keywords`` added to its records, one list per record.

    Earlier keywords that fully match ``ours`` are removed.
    """
    lines, end_of_line = split_lines(text)
    field = field_pattern(lines)
    written: list[str] = []
    position = 0
    for (start, end), added in zip(find_records(lines), keywords, strict=True):
        written += lines[position:start]
        written += _with_keywords(lines[start:end], added, ours, field)
        position = end
    return end_of_line.join([*written, *lines[position:]])


def _with_keywords(
    record: Sequence[str], keywords: Sequence[str], ours: re.Pattern[str], field: re.Pattern[str]
) -> list[str]:
    """Return the lines of a record, with new keywords after its last keyword or at its end."""
    ending = "\r" if record[0].endswith("\r") else ""
    kept: list[str] = []
    last_keyword = None
    in_keywords = False
    # EndNote writes one keyword per line, but the field tag only before the first one. If that one
    # is removed, the next one gets the tag.
    tag_missing = False
    for line in record:
        found = field.match(line)
        if found:
            in_keywords, tag_missing = found[1] == "KW", False
        if in_keywords:
            keyword = line[found.end() :] if found else line
            if ours.fullmatch(keyword.strip()):
                tag_missing = tag_missing or bool(found)
                continue
            if tag_missing and keyword.strip():
                line, tag_missing = _TAG + line, False
        kept.append(line)
        if in_keywords and line.strip():
            last_keyword = len(kept)
    end = len(kept) if last_keyword is None else last_keyword
    new = [f"{_TAG}{keyword}{ending}" for keyword in keywords]
    return [*kept[:end], *new, *kept[end:]]
