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


def read_json(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the papers of JSON Lines or of a JSON array, or why a value is none.

    Raises
    ------
    TaggerError
        If an array is no JSON, or no field holds the title; the line is given.
    """
    # Once for the fields that any of them has, and once for the papers.
    names: dict[str, None] = {}
    problem = TaggerError("no papers in this file", path=source.path)
    for row in (row for _, row in _objects(source)):
        if isinstance(row, TaggerError):
            problem = row
        else:
            names.update(dict.fromkeys(row))
    if not names:
        raise problem
    known = list(names)
    columns = Columns.find(known, source)
    # Of the names, of which each row may have others: rows and names are both many.
    wanted = [known[position] for position in columns.positions.values()]
    chosen = Columns({field: place for place, field in enumerate(columns.positions)})
    for line, row in _objects(source):
        if isinstance(row, TaggerError):
            yield row
        else:
            yield chosen.paper([row.get(name) for name in wanted], source, line)


def _objects(source: Source) -> Iterator[tuple[int, dict[str, Any] | TaggerError]]:
    for line, value in read_values(source):
        if isinstance(value, dict | TaggerError):
            yield line, value
        else:
            problem = f"expected an object with the fields of a paper, found {_kind(value)}"
            yield line, TaggerError(problem, line=line)


def read_values(source: Source) -> Iterator[tuple[int, Any]]:
    """Yield each value of an array, or each of several that follow one another, with its line.

    Of several, one that is no JSON is yielded as an error, and reading goes on with the next line.

    Raises
    ------
    TaggerError
        If an array is no JSON; the line is given.
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
            try:
                value = text.value()
            except TaggerError as error:
                if in_array:
                    raise
                value = error
                text.skip_line()
            yield line, value
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

    def skip_line(self) -> None:
        """Go to the next line."""
        while (end := self._text.find("\n", self._position)) < 0 and not self._at_end:
            self._read_on()
        self._go_to(len(self._text) if end < 0 else end + 1)

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
