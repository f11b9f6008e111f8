"""Reader for JSON: one object a line (JSON Lines), several in a row, or an array of objects."""

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
    """Tell JSON from a page, which may begin with a bracket, too."""
    return _START.match(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the papers of JSON Lines or of a JSON array, or why a value is none."""
    # Once for the fields that any of them has, and once for the papers.
    names: dict[str, None] = {}
    for _, value in read_values(source):
        if isinstance(value, dict):
            names.update(dict.fromkeys(value))
    # Without any name each value has a problem.
    columns = Columns.find(list(names), source) if names else Columns({})
    # Of the names, of which each row may have others: rows and names are both many.
    wanted, chosen = columns.alone(list(names))
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
    """Yield each value with its line; in JSON Lines, an error in place of one that is no JSON."""
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
    """Yield the values of a text that begins at a line, each with its line."""
    place, line = _go_on(text, 0, 0, line)
    while place < len(text):
        value, end = _decode(text, place, line)
        yield line, value
        place, line = _go_on(text, place, end, line)


def _array(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the values of the array that a text consists of, each with its line."""
    place, line = _go_on(text, 0, text.index("[") + 1, 1)
    is_first = True
    while place < len(text) and text[place] != "]":
        if not is_first:
            if text[place] != ",":
                raise TaggerError("is no JSON (a comma is missing)", line=line)
            place, line = _go_on(text, place, place + 1, line)
        value, end = _decode(text, place, line)
        yield line, value
        place, line = _go_on(text, place, end, line)
        is_first = False
    if place == len(text):
        raise TaggerError("the array is not closed, so the file may be cut short", line=line)
    place, line = _go_on(text, place, place + 1, line)
    if place < len(text):
        raise TaggerError("something follows the end of the array", line=line)


def _decode(text: str, place: int, line: int) -> tuple[Any, int]:
    """Return the value at a place, which is in a line, and where it ends."""
    try:
        return _DECODER.raw_decode(text, place)
    except json.JSONDecodeError as error:
        line += text.count("\n", place, error.pos)
        raise TaggerError(f"is no JSON ({error.msg})", line=line) from error
    except (ValueError, RecursionError) as error:
        raise TaggerError(f"is no JSON that can be read ({error})", line=line) from error


def _go_on(text: str, start: int, end: int, line: int) -> tuple[int, int]:
    """Return the place of what follows white space from ``end`` on, and its line."""
    match = _SPACE.match(text, end)
    place = match.end() if match else end
    return place, line + text.count("\n", start, place)
