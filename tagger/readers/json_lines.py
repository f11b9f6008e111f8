"""Reader for JSON: one object a line (JSON Lines), or an array of objects; a paper each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.columns import Columns
from tagger.readers.source import Source

_START = re.compile(r'\{\s*["}]|\[\s*[{\]]')
_SPACE = re.compile(r"\s*")
_CHUNK = 1 << 20
_LOOKAHEAD = 16
"""Longer than any part of JSON but a string: it is known within so many characters to be wrong."""


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
    # Once for the fields that any of them has, and once for the papers.
    names: dict[str, None] = {}
    empty = True
    for _, row in _objects(source):
        names.update(dict.fromkeys(row))
        empty = False
    if empty:
        raise TaggerError("no papers in this file", path=source.path)
    columns = Columns.find(list(names), source)
    for line, row in _objects(source):
        yield columns.paper([row.get(name) for name in names], source, line)


def _objects(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, value in read_values(source):
        if not isinstance(value, dict):
            raise TaggerError(
                f"expected an object with the fields of a paper, found {_kind(value)}", line=line
            )
        yield line, value


def read_values(source: Source) -> Iterator[tuple[int, Any]]:
    """Yield each value of an array, or each of several that follow one another, with its line.

    Raises
    ------
    TaggerError
        If it is no JSON; the line is given.
    """
    with source.open_text() as file:
        text = _Text(file)
        in_array = text.next_character() == "["
        if in_array:
            text.skip()
        first = True
        while character := text.next_character():
            if in_array:
                if character == "]":
                    line = text.line
                    text.skip()
                    if text.next_character():
                        raise TaggerError("something follows the end of the array", line=line)
                    return
                if not first:
                    if character != ",":
                        raise TaggerError("is no JSON (a comma is missing)", line=text.line)
                    text.skip()
                    text.next_character()
            line = text.line
            yield line, text.value()
            first = False
        if in_array:
            raise TaggerError(
                "the array is not closed, so the file may be cut short", line=text.line
            )


class _Text:
    """A text of which a part at a time is in memory: what was read is let go of."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._position = 0
        self._at_end = False
        self.line = 1

    def next_character(self) -> str:
        """Go to the next character that is no white space; there is none at the end."""
        while True:
            match = _SPACE.match(self._text, self._position)
            self._go_to(match.end() if match else self._position)
            if self._position < len(self._text) or self._at_end:
                return self._text[self._position : self._position + 1]
            self._read_on()

    def skip(self) -> None:
        """Go past one character."""
        self._go_to(self._position + 1)

    def value(self) -> Any:
        """Read a value, and go past it."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                # What is wrong well before the end stays wrong however the text goes on.
                ends_later = error.pos + _LOOKAHEAD >= len(self._text)
                if not self._at_end and (ends_later or error.msg.startswith("Unterminated")):
                    self._read_on()
                    continue
                line = self.line + self._text.count("\n", self._position, error.pos)
                raise TaggerError(f"is no JSON ({error.msg})", line=line) from error
            except (ValueError, RecursionError) as error:
                raise TaggerError(
                    f"is no JSON that can be read ({error})", line=self.line
                ) from error
            # A number may go on.
            if end + _LOOKAHEAD <= len(self._text) or self._at_end:
                self._go_to(end)
                return value
            self._read_on()

    def _go_to(self, position: int) -> None:
        self.line += self._text.count("\n", self._position, position)
        self._position = position

    def _read_on(self) -> None:
        """Read at least as much as there is, so that a long value is tried but a few times."""
        self._text = self._text[self._position :]
        self._position = 0
        more = self._file.read(max(_CHUNK, len(self._text)))
        self._text += more
        self._at_end = not more


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
