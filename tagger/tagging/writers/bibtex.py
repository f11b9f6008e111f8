"""BibTeX given back as it was, but for tags among the ``keywords`` of its entries.

Nothing is written anew: keywords are put into the text at their place, so that all else stays as
it is to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tagger.papers.readers.bibtex import is_enclosed, literals, parse_bibtex

_FIELD = "keywords"
_SEPARATOR = ", "


def add_bibtex_keywords(text: str, keywords: Sequence[Sequence[str]], ours: re.Pattern[str]) -> str:
    """Put the ``keywords`` of each entry in order into a BibTeX text.

    Keywords that match ``ours`` as a whole are of an earlier time and make room for the new ones.
    """
    written, place = [], 0
    for entry, added in zip(parse_bibtex(text)[0], keywords, strict=True):
        # Between fields there are but commas, '=' and white space.
        end = text.find(",", entry.start)
        for name, value in entry.fields:
            name_start = text.index(name, end)
            start = text.index(value, text.index("=", name_start + len(name)) + 1)
            end = start + len(value)
            if name.lower() == _FIELD:
                written += [text[place:start], _edited(value, added, ours)]
                break
        else:
            written.append(text[place:end])
            if added:
                written.append(_new_field(text, name_start, start, added))
        place = end
    return "".join([*written, text[place:]])


def _new_field(text: str, name_start: int, value_start: int, keywords: Sequence[str]) -> str:
    """Write the field in the style of the one before it, whose name and value begin there."""
    line_start = text.rfind("\n", 0, name_start) + 1
    line = text[line_start:name_start]
    newline = "\r\n" if text.startswith("\r\n", line_start - 2) else "\n"
    indent = f"{newline}{line}" if line_start and not line.strip() else " "
    equals = " = " if " " in text[name_start:value_start] else "="
    return f",{indent}{_FIELD}{equals}{{{_SEPARATOR.join(keywords)}}}"


def _edited(value: str, keywords: Sequence[str], ours: re.Pattern[str]) -> str:
    """Return the value of a field with other keywords of ours; nothing else of it is changed."""
    parts = [*literals(value)]
    start, end = parts[-1]
    if len(parts) == 1 and (start == end or is_enclosed(value[start:end])):
        inner = value[start + 1 : end - 1] if start < end else ""
        opening, closing = (value[start], value[end - 1]) if start < end else "{}"
        return value[:start] + opening + _in_list(inner, keywords, ours) + closing + value[end:]
    # Strings joined by '#': ours are a part of their own, which begins with the separator.
    if len(parts) > 1 and is_enclosed(value[start:end]):
        first, *others = (each.strip() for each in _split(value[start + 1 : end - 1])[::2])
        if not first and others and all(_matches(ours, each) for each in others):
            value = value[: parts[-2][1]]
    return f"{value} # {{{_SEPARATOR}{_SEPARATOR.join(keywords)}}}" if keywords else value


def _in_list(inner: str, keywords: Sequence[str], ours: re.Pattern[str]) -> str:
    """Return a list of keywords with others of ours, these at its end."""
    pieces = _split(inner)
    listed = [*zip(["", *pieces[1::2]], pieces[::2], strict=True)]
    kept = [each for each in listed if not _matches(ours, each[1].strip())]
    if kept and kept[0] is not listed[0]:
        kept[0] = ("", kept[0][1])
    # What stands around the list is no part of it.
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
    # Zotero escapes what LaTeX would take for a subscript.
    return bool(ours.fullmatch(keyword.replace(r"\_", "_")))


def _split(inner: str) -> list[str]:
    """Split a list outside braces at semicolons, or else commas: keyword, separator, keyword."""
    depth = 0
    marks: dict[str, list[int]] = {",": [], ";": []}
    for place, character in enumerate(inner):
        depth += (character == "{") - (character == "}")
        if depth == 0 and character in marks:
            marks[character].append(place)
    pieces, start = [], 0
    for place in marks[";"] or marks[","]:
        rest = inner[place + 1 :]
        end = place + 1 + len(rest) - len(rest.lstrip())
        pieces += [inner[start:place], inner[place:end]]
        start = end
    return [*pieces, inner[start:]]
