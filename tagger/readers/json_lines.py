"""Reader for JSON: one object a line (JSON Lines), or an array of objects; a paper each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.columns import Columns
from tagger.readers.source import Source

_START = re.compile(r'\{\s*["}]|\[\s*[{\]]')
_SPACE = re.compile(r"\s*")


def is_json(source: Source) -> bool:
    """Tell JSON from a page, which may begin with a bracket, too."""
    return _START.match(source.head) is not None


def read_json(source: Source) -> Iterator[Paper]:
    """Yield the papers of JSON Lines or of a JSON array.

    Raises
    ------
    TaggerError
        If it is no JSON, a value is no object, no field holds the title, or an object has none;
        the line is given.
    """
    rows = []
    for line, value in read_values(source):
        if not isinstance(value, dict):
            raise TaggerError(
                f"expected an object with the fields of a paper, found {_kind(value)}", line=line
            )
        rows.append((line, value))
    if not rows:
        raise TaggerError("no papers in this file", path=source.path)
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    columns = Columns.find(names, source)
    # Of the names, of which each row may have others: rows and names are both many.
    wanted = [names[position] for position in columns.positions.values()]
    chosen = Columns({field: place for place, field in enumerate(columns.positions)})
    for line, row in rows:
        yield chosen.paper([row.get(name) for name in wanted], source, line)


def read_values(source: Source) -> Iterator[tuple[int, Any]]:
    """Yield each value of an array, or each of several that follow one another, with its line.

    Raises
    ------
    TaggerError
        If it is no JSON; the line is given.
    """
    text = source.text
    decoder = json.JSONDecoder()
    position = _after_space(text, 0)
    in_array = text.startswith("[", position)
    position = _after_space(text, position + in_array)
    line, counted = 1, 0
    first = True
    while position < len(text):
        line, counted = line + text.count("\n", counted, position), position
        if in_array:
            if text[position] == "]":
                if _after_space(text, position + 1) < len(text):
                    raise TaggerError("something follows the end of the array", line=line)
                return
            if not first:
                if text[position] != ",":
                    raise TaggerError("is no JSON (a comma is missing)", line=line)
                position = _after_space(text, position + 1)
                line, counted = line + text.count("\n", counted, position), position
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise TaggerError(f"is no JSON ({error.msg})", line=error.lineno) from error
        except (ValueError, RecursionError) as error:
            raise TaggerError(f"is no JSON that can be read ({error})", line=line) from error
        yield line, value
        first = False
        position = _after_space(text, position)
    if in_array:
        raise TaggerError("the array is not closed, so the file may be cut short", line=line)


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
