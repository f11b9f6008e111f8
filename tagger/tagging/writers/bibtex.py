"""Add tags to the ``keywords`` of BibTeX entries.

Keywords are inserted into the original text; all other bytes stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tagger.errors import TaggerError
from tagger.papers.readers.bibtex import is_enclosed, literals, parse_bibtex

_FIELD = "keywords"
_SEPARATOR = ", "


def add_bibtex_keywords(text: str, keywords: Sequence[Sequence[str]], ours: re.Pattern[str]) -> str:
    """Return a BibTeX text with ``keywords`` added to its entries, one list per entry.

    Earlier keywords that fully match ``ours`` are removed.
    """
    written, position = [], 0
    for entry, added in zip(parse_bibtex(text)[0], keywords, strict=True):
        if isinstance(entry, TaggerError):
            continue
        # Only commas, '=' and white space separate names and values.
        end = entry.body
        for name, value in entry.fields:
            name_start = text.index(name, end)
            start = text.index(value, text.index("=", name_start + len(name)) + 1)
            end = start + len(value)
            if name.lower() == _FIELD:
                written += [text[position:start], _with_keywords(value, added, ours)]
                break
        else:
            written.append(text[position:end])
            if added:
                written.append(_new_field(text, name_start, start, added))
        position = end
    return "".join([*written, text[position:]])


def _new_field(text: str, name_start: int, value_start: int, keywords: Sequence[str]) -> str:
    """Return a new field in the style of the one before it, given where that one starts."""
    line_start = text.rfind("\n", 0, name_start) + 1
    line = text[line_start:name_start]
    newline = "\r\n" if text.startswith("\r\n", line_start - 2) else "\n"
    indent = f"{newline}{line}" if line_start and not line.strip() else " "
    equals = " = " if " " in text[name_start:value_start] else "="
    return f",{indent}{_FIELD}{equals}{{{_SEPARATOR.join(keywords)}}}"


def _with_keywords(value: str, keywords: Sequence[str], ours: re.Pattern[str]) -> str:
    """Return the value of a field with earlier keywords of ours replaced by new ones."""
    parts = [*literals(value)]
    start, end = parts[-1]
    if len(parts) == 1 and (start == end or is_enclosed(value[start:end])):
        inner = value[start + 1 : end - 1] if start < end else ""
        opening, closing = (value[start], value[end - 1]) if start < end else "{}"
        inner = merge_keywords(inner, keywords, ours)
        return value[:start] + opening + inner + closing + value[end:]
    # Strings joined by '#': ours are the last string, which begins with the separator.
    if len(parts) > 1 and is_enclosed(value[start:end]):
        first, *others = (each.strip() for each in _split(value[start + 1 : end - 1])[::2])
        if not first and others and all(_matches(ours, each) for each in others):
            value = value[: parts[-2][1]]
    return f"{value} # {{{_SEPARATOR}{_SEPARATOR.join(keywords)}}}" if keywords else value


def merge_keywords(inner: str, keywords: Sequence[str], ours: re.Pattern[str]) -> str:
    """Return a list of keywords with earlier ones of ours removed and new ones at its end.

    Keywords are separated by semicolons, or else by commas.
    """
    pieces = _split(inner)
    listed = [*zip(["", *pieces[1::2]], pieces[::2], strict=True)]
    kept = [each for each in listed if not _matches(ours, each[1].strip())]
    if kept and kept[0] is not listed[0]:
        kept[0] = ("", kept[0][1])
    # White space around the list is kept.
    head = inner[: len(inner) - len(inner.lstrip())]
    tail = inner[len(inner.rstrip()) :] if head != inner else ""
    body = "".join(separator + keyword for separator, keyword in kept).strip()
    mark = ";" if any(";" in piece for piece in pieces[1::2]) else ","
    between = {separator for separator, keyword in kept[1:] if keyword}
    glue = mark if between == {mark} else f"{mark} "
    added = glue.join(keywords)
    if added:
        body = body.rstrip(f"{mark} \t\r\n")
        body += glue if body else ""
    return head + body + added + tail


def _matches(ours: re.Pattern[str], keyword: str) -> bool:
    # Zotero escapes underscores, which are subscripts in LaTeX.
    return bool(ours.fullmatch(keyword.replace(r"\_", "_")))


def _split(inner: str) -> list[str]:
    """Split a list at semicolons outside braces, or else at commas.

    Returns keywords and separators in turn; a separator includes the white space after it.
    """
    depth = 0
    marks: dict[str, list[int]] = {",": [], ";": []}
    for position, character in enumerate(inner):
        depth += (character == "{") - (character == "}")
        if depth == 0 and character in marks:
            marks[character].append(position)
    pieces, start = [], 0
    for position in marks[";"] or marks[","]:
        rest = inner[position + 1 :]
        end = position + 1 + len(rest) - len(rest.lstrip())
        pieces += [inner[start:position], inner[position:end]]
        start = end
    return [*pieces, inner[start:]]
