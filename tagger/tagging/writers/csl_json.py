"""Add tags to the ``keyword`` of CSL JSON records.

Only that field is changed, in the original text; all other bytes stay the same. The format is that
of the Citation Style Language 1.0.2, where ``keyword`` is a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from tagger.papers.readers.json_lines import NO_PAPERS, fields_of, read_array
from tagger.papers.readers.source import Source
from tagger.tagging.writers.bibtex import merge_keywords

_FIELD = "keyword"
_TYPE = re.compile(
    r"article(?:-\w+)?|bill|book|broadcast|chapter|classic|collection|dataset|document|entry(?:-\w+)?"
    r"|event|figure|graphic|hearing|interview|legal_case|legislation|manuscript|map|motion_picture"
    r"|musical_score|pamphlet|paper-conference|patent|performance|periodical"
    r"|personal_communication|post(?:-weblog)?|regulation|report|review(?:-book)?|software|song"
    r"|speech|standard|thesis|treaty|webpage"
)
_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


def is_csl_json(source: Source) -> bool:
    """Return whether a JSON file is an array whose first valid record has the form of CSL."""
    if not source.head.startswith("["):
        return False
    records = (value for _, value, _ in read_array(source.text, 0, 1))
    first = next((value for value in records if isinstance(value, dict)), {})
    # OpenAlex has some of the same types, and a second name of the title.
    type_ = _TYPE.fullmatch(str(first.get("type")))
    return bool(type_) and "id" in first and "display_name" not in first


def add_csl_keywords(text: str, keywords: Sequence[Sequence[str]], ours: re.Pattern[str]) -> str:
    """Return a CSL JSON text with ``keywords`` added to its records, one list per record.

    Earlier keywords that fully match ``ours`` are removed. A ``keyword`` that is neither a text nor
    a list of texts stays as it is.
    """
    written, position = [], 0
    records = [
        (value, offset)
        for _, value, offset in read_array(text, 0, 1)
        if not isinstance(value, dict) or fields_of(value).get("itemType") not in NO_PAPERS
    ]
    for (value, offset), added in zip(records, keywords, strict=True):
        if not isinstance(value, dict):
            continue
        fields = list(_fields(text, offset))
        own = [(start, end) for name, _, start, end in fields if name == _FIELD]
        if own:
            start, end = own[-1]
            written += [text[position:start], _with_keywords(text[start:end], added, ours)]
            position = end
        elif added and fields:
            # In the style of the first field.
            _, key, start, _ = fields[0]
            before = text[offset + 1 : key]
            after = text[_DECODER.raw_decode(text, key)[1] : start]
            end = fields[-1][3]
            written += [text[position:end], f',{before}"{_FIELD}"{after}{_json(", ".join(added))}']
            position = end
    return "".join([*written, text[position:]])


def _fields(text: str, start: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, offset of the name, and start and end of the value of each field of an object."""
    position = start
    while text[position] != "}":
        key = _skip_space(text, position + 1)
        if text[key] == "}":
            return
        name, end = _DECODER.raw_decode(text, key)
        value = _skip_space(text, _skip_space(text, end) + 1)
        end = _DECODER.raw_decode(text, value)[1]
        yield name, key, value, end
        position = _skip_space(text, end)


def _with_keywords(written: str, keywords: Sequence[str], ours: re.Pattern[str]) -> str:
    """Return a value as written with earlier keywords of ours replaced by new ones."""
    old = json.loads(written)
    if isinstance(old, str):
        new: Any = merge_keywords(old, keywords, ours)
    elif isinstance(old, list) and all(isinstance(each, str) for each in old):
        new = [*(each for each in old if not ours.fullmatch(each)), *keywords]
    elif old is None and keywords:
        new = ", ".join(keywords)
    else:
        return written
    return written if new == old else _json(new)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
