"""Reader for JSON: one object a line (JSON Lines), consecutive objects, or an array of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.columns import Columns
from tagger.papers.readers.source import Source

_START = re.compile(r'\{\s*["}]|\[\s*[{\]]')
_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()
_KINDS = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}


def recognise(source: Source) -> bool:
    """Recognise JSON by its first two characters, since a page may begin with a bracket, too."""
    return _START.match(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each object of a JSON file, or an error for an invalid value."""
    # The first pass collects the field names of all objects, the second yields the papers.
    names: dict[str, None] = {}
    for _, value in read_values(source):
        if isinstance(value, dict):
            names.update(dict.fromkeys(value))
    # Without field names every value is invalid.
    columns = Columns.find(list(names), source) if names else Columns({})
    wanted, chosen = columns.select(list(names))
    for line, value in read_values(source):
        if isinstance(value, dict):
            yield chosen.paper([value.get(name) for name in wanted], source, line)
        elif isinstance(value, TaggerError):
            yield value
        else:
            found = _KINDS.get(type(value), "a number")
            problem = f"expected an object with the fields of a paper, found {found}"
            yield TaggerError(problem, line=line)


def read_values(source: Source) -> Iterator[tuple[int, Any]]:
    """Yield each value with its line; in JSON Lines, an error for each invalid line."""
    first, end, _ = source.head.partition("\n")
    if first.startswith("["):
        yield from _array(source.text)
    elif end and not first.rstrip().endswith("}"):
        yield from _sequence(source.text, 1)
    else:
        with source.open_text("\n") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield from _sequence(line, number)
                except TaggerError as error:
                    yield number, error


def _sequence(text: str, line: int) -> Iterator[tuple[int, Any]]:
    """Yield the consecutive values of a text that starts in line ``line``, with their lines."""
    offset, line = _skip_space(text, 0, 0, line)
    while offset < len(text):
        value, end = _decode(text, offset, line)
        yield line, value
        offset, line = _skip_space(text, offset, end, line)


def _array(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the values of an array, with their lines."""
    offset, line = _skip_space(text, 0, text.index("[") + 1, 1)
    is_first = True
    while offset < len(text) and text[offset] != "]":
        if not is_first:
            if text[offset] != ",":
                raise TaggerError("is not valid JSON (a comma is missing)", line=line)
            offset, line = _skip_space(text, offset, offset + 1, line)
        value, end = _decode(text, offset, line)
        yield line, value
        offset, line = _skip_space(text, offset, end, line)
        is_first = False
    if offset == len(text):
        raise TaggerError("the array is not closed; the file may be incomplete", line=line)
    offset, line = _skip_space(text, offset, offset + 1, line)
    if offset < len(text):
        raise TaggerError("unexpected text after the end of the array", line=line)


def _decode(text: str, offset: int, line: int) -> tuple[Any, int]:
    """Return the value at an offset in line ``line``, and the offset of its end."""
    try:
        return _DECODER.raw_decode(text, offset)
    except json.JSONDecodeError as error:
        line += text.count("\n", offset, error.pos)
        raise TaggerError(f"is not valid JSON ({error.msg})", line=line) from error
    except (ValueError, RecursionError) as error:
        raise TaggerError(f"cannot be read as JSON ({error})", line=line) from error


def _skip_space(text: str, start: int, end: int, line: int) -> tuple[int, int]:
    """Skip white space from ``end`` on; return the new offset and its line (that of ``start``)."""
    match = _SPACE.match(text, end)
    offset = match.end() if match else end
    return offset, line + text.count("\n", start, offset)
