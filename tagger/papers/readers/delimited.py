"""Reader for CSV and TSV files; delimiter, quoting and encoding are found in the content."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.columns import HEADER_WITHIN, Columns, has_column
from tagger.papers.readers.source import Source

DELIMITERS = (",", "\t", ";", "|")
_MAX_CELL = 2**31 - 1
"""Characters. A larger number does not fit into a C long on every platform."""
_MAX_LINES = 50
"""Lines of a row whose quotes are repaired."""
_FUNDING = "Funding Text 1"
_RULE = re.compile(r"[-:\s]*-[-:\s]*")
_FIELD_A_ROW = re.compile(r'^("?)abstract\1(?:[,;\t]|\r?$)', re.IGNORECASE | re.MULTILINE)
_MAX_COLUMN_NAME = 60
"""Characters. A longer cell is a sentence, not the name of a column."""


class Record(NamedTuple):
    """One row of a table and the number of its first line."""

    line: int
    cells: list[str]
    is_broken: bool = False

    def is_as_long_as(self, header: Record) -> bool:
        """Return whether the row has as many cells as the header; more may follow if empty."""
        size = len(header.cells)
        return len(self.cells) >= size and not any(cell.strip() for cell in self.cells[size:])


def recognise(source: Source) -> bool:
    return not source.is_folder and any(_looks_like_table(source, mark) for mark in DELIMITERS)


def read(source: Source) -> Iterator[Paper | TaggerError]:
    records = read_records(source)
    header = next(records, None)
    if header is None:
        raise TaggerError("the file contains only blank lines")
    columns = Columns.find(header.cells, source, header.line)
    size = len(header.cells)
    after_mark = min(1, size - 1)  # the first cell of an appended header may have a byte order mark
    is_first = columns.positions["title"] == 0 and "abstract" not in columns.positions
    if is_first and _FIELD_A_ROW.search(source.head):
        hint = "Export the papers as RIS, or as CSV with one paper a row"
        raise TaggerError("has a row for each field of a paper, as of Embase", hint=hint)
    for record in (_without_surplus(each, header) for each in records):
        is_header = record.cells[after_mark:] == header.cells[after_mark:]
        if is_header or _RULE.fullmatch("".join(record.cells)):
            continue  # of another table, appended to this one; or the rule of one in Markdown
        if record.is_as_long_as(header):
            yield columns.paper(record.cells, source, record.line)
        elif record.is_broken:
            yield TaggerError(
                "a quoted cell is not closed correctly",
                line=record.line,
                hint='End the cell with a quote, and write a quote inside it as ""',
            )
        else:
            count = len(record.cells)
            yield TaggerError(
                f"the row has {count} {'cell' if count == 1 else 'cells'}, the header has {size}",
                line=record.line,
                hint="Quote cells that contain the delimiter or a line break",
            )


def read_records(source: Source) -> Iterator[Record]:
    """Yield the header of a CSV or TSV file, then its records that are not blank.

    The chosen delimiter is the one that gives the earliest header with a title column, and of
    these the one with the most columns. In tab-separated files quotes may be part of the text.
    """
    delimiter, skipped = _find_dialect(source)
    quotes = delimiter != "\t" or _quotes_enclose_cells(source, skipped)
    return _table(source, delimiter, skipped, quotes=quotes)


def _table(source: Source, delimiter: str, skipped: int, *, quotes: bool) -> Iterator[Record]:
    with source.open_text() as file:
        rows = _Rows(file, delimiter, quotes=quotes)
        records = islice(_without_blanks(rows), skipped, None)
        for header in islice(records, 1):
            rows.header = _without_trailing_blanks(header)
            yield rows.header
            yield from records


def _quotes_enclose_cells(source: Source, skipped: int) -> bool:
    """Return whether the quotes of a tab-separated table are paired and swallow no rows."""
    plain, is_regular = _count(_table(source, "\t", skipped, quotes=False))
    quoted, is_regular_quoted = _count(_table(source, "\t", skipped, quotes=True))
    return not (is_regular and (quoted < plain or not is_regular_quoted))


def _count(records: Iterator[Record]) -> tuple[int, bool]:
    """Return the number of records below the header, and whether all have the header's length."""
    header = next(records, Record(1, []))
    fits = [record.is_as_long_as(header) for record in records]
    return len(fits), all(fits)


def _looks_like_table(source: Source, delimiter: str) -> bool:
    head = io.StringIO(source.head, newline="")
    records = list(_Rows(head, delimiter, strict=False))
    if not source.is_short:
        records.pop()
    for number, header in enumerate(map(_without_trailing_blanks, records[:HEADER_WITHIN])):
        is_header = (has_column(f, header.cells, source.columns) for f in ("title", "abstract"))
        if len(header.cells) < 2 or not any(is_header):
            continue
        rows = [_without_surplus(row, header) for row in records[number + 1 :]]
        if any(len(name) > _MAX_COLUMN_NAME for name in header.cells):
            return False
        if not rows:
            return header.line == 1 or source.is_short
        regular = sum(row.is_as_long_as(header) for row in rows)
        # In a digest page a blank line follows, and the number of commas varies.
        return bool(rows[0].cells) and 2 * regular >= sum(bool(row.cells) for row in rows)
    return False


def _without_surplus(record: Record, header: Record) -> Record:
    """Remove the texts about funding for which Scopus writes no names of columns."""
    surplus = len(record.cells) - len(header.cells)
    if surplus > 0 and _FUNDING in header.cells and record.cells[-1].startswith("2-s2.0-"):
        place = header.cells.index(_FUNDING)
        return record._replace(cells=record.cells[:place] + record.cells[place + surplus :])
    return record


def _find_dialect(source: Source) -> tuple[str, int]:
    """Return the delimiter, and the number of non-blank records above the header."""
    found = []
    for order, delimiter in enumerate(DELIMITERS):
        best = (HEADER_WITHIN, 0, order)
        with source.open_text() as file:
            rows = _Rows(file, delimiter, strict=False)
            start = islice(_without_blanks(rows), HEADER_WITHIN)
            for number, record in enumerate(start):
                if has_column("title", record.cells, source.columns):
                    best = (number, -len(record.cells), order)
                    break
                if number == 0:
                    best = (HEADER_WITHIN, -len(record.cells), order)
        found.append(best)
    number, _, order = min(found)
    return DELIMITERS[order], number % HEADER_WITHIN


def _without_blanks(records: Iterable[Record]) -> Iterator[Record]:
    return (each for each in records if each.is_broken or any(map(str.strip, each.cells)))


class _Rows(Iterator[Record]):
    """The records of a table.

    Quotes inside a cell may be written without doubling them, unless ``strict`` is false, as for
    the beginning of a table. After a record that is broken, or that swallows rows, reading goes on
    with its second line.
    """

    def __init__(
        self, lines: Iterable[str], delimiter: str, *, quotes: bool = True, strict: bool = True
    ) -> None:
        self.header: Record | None = None
        self._lines, self._again = iter(lines), deque[str]()
        self._taken = list[str]()
        self._delimiter, self._strict, self._line = delimiter, strict, 1
        self._quotes = quotes
        self._start()

    def __next__(self) -> Record:
        line, self._taken = self._line, []
        try:
            record = Record(line, _next(self._reader))
            used = len(self._taken)
            if used > 1 and self.header and self._swallows_rows(record, self.header):
                record, used = Record(line, [], is_broken=True), 1
        except csv.Error:
            record, used = self._repaired(line)
            self._start()
        self._again.extendleft(reversed(self._taken[used:]))
        self._line += used
        return record

    def _swallows_rows(self, record: Record, header: Record) -> bool:
        """Return whether a record does not fit the header, but one of its later lines does."""
        rows = csv.reader(self._taken[1:], delimiter=self._delimiter, quoting=csv.QUOTE_NONE)
        return not record.is_as_long_as(header) and any(
            Record(0, cells).is_as_long_as(header) for cells in rows
        )

    def _start(self) -> None:
        self._reader = csv.reader(
            iter(self._take, None),
            delimiter=self._delimiter,
            strict=self._strict,
            quoting=csv.QUOTE_MINIMAL if self._quotes else csv.QUOTE_NONE,
        )

    def _take(self) -> str | None:
        line = self._again.popleft() if self._again else next(self._lines, None)
        if line is not None:
            self._taken.append(line)
        return line

    def _repaired(self, line: int) -> tuple[Record, int]:
        """Return the record of the lines taken, and the number of lines that it has."""
        for used in range(1, min(len(self._taken), _MAX_LINES) + 1):
            text = "".join(self._taken[:used]).rstrip("\r\n")
            for is_quoted in (True, False):
                cells = _split(text, self._delimiter, is_quoted=is_quoted)
                record = Record(line, cells)
                if cells and (self.header is None or record.is_as_long_as(self.header)):
                    return record, used
        text = self._taken[0].rstrip("\r\n")
        plain = Record(line, text.split(self._delimiter))
        if text.count('"') % 2 == 0 and self.header and plain.is_as_long_as(self.header):
            return plain, 1
        return Record(line, [], is_broken=True), 1


def _split(text: str, delimiter: str, *, is_quoted: bool) -> list[str]:
    """Split a row in which quotes are not doubled; return [] if a quoted cell is not closed.

    A quote ends a cell before a delimiter (with ``is_quoted``: and another quote) or at the end.
    """
    cells, position = list[str](), 0
    while position <= len(text):
        quoted = text.startswith('"', position)
        mark = f'"{delimiter}' if quoted else delimiter
        end = text.find(f'{mark}"' if quoted and is_quoted else mark, position + quoted)
        if end < 0:
            if quoted and (not text.endswith('"') or len(text) == position + 1):
                return []
            end = len(text) - quoted
        cells.append(text[position + quoted : end].replace('""', '"'))
        position = end + len(mark)
    return cells


def _without_trailing_blanks(header: Record) -> Record:
    size = max((n for n, cell in enumerate(header.cells, start=1) if cell.strip()), default=0)
    return Record(header.line, header.cells[:size])


def _next(reader: Iterator[list[str]]) -> list[str]:
    """Return the next row, with a raised limit on the size of a cell."""
    before = csv.field_size_limit()
    csv.field_size_limit(_MAX_CELL)
    try:
        return next(reader)
    finally:
        csv.field_size_limit(before)
