"""Reader for CSV and TSV files; delimiter, quoting and encoding are found in the content."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.columns import HEADER_WITHIN, Columns, has_title
from tagger.papers.readers.source import Source

DELIMITERS = (",", "\t", ";", "|")
_MAX_CELL = 2**31 - 1
"""Characters. A larger number does not fit into a C long on every platform."""
_MAX_COLUMN_NAME = 60
"""Characters. A longer cell is a sentence, not the name of a column."""


class Record(NamedTuple):
    """One row of a table and the number of its first line."""

    line: int
    cells: list[str]

    def is_as_long_as(self, header: Record) -> bool:
        """Return whether the row has as many cells as the header; more may follow if empty."""
        size = len(header.cells)
        return len(self.cells) >= size and not any(cell.strip() for cell in self.cells[size:])


def recognise(source: Source) -> bool:
    """Recognise a table by its header and by rows with as many cells as the header."""
    return not source.is_folder and any(_looks_like_table(source, mark) for mark in DELIMITERS)


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each row of a CSV or TSV file, or an error for an invalid row."""
    records = read_records(source)
    header = next(records, None)
    if header is None:
        raise TaggerError("the file contains only blank lines")
    columns = Columns.find(header.cells, source, header.line)
    size = len(header.cells)
    for record in records:
        if record.is_as_long_as(header):
            yield columns.paper(record.cells, source, record.line)
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
    records = islice(_content(source, delimiter, quotes=quotes), skipped, None)
    for header in islice(records, 1):
        yield _without_trailing_blanks(header)
        yield from records


def _quotes_enclose_cells(source: Source, skipped: int) -> bool:
    """Return whether the quotes of a tab-separated table are paired and swallow no rows."""
    plain, is_regular = _count(_table(source, "\t", skipped, quotes=False))
    try:
        quoted, is_regular_quoted = _count(_table(source, "\t", skipped, quotes=True))
    except TaggerError:
        return False
    return not (is_regular and (quoted < plain or not is_regular_quoted))


def _count(records: Iterator[Record]) -> tuple[int, bool]:
    """Return the number of records below the header, and whether all have the header's length."""
    header = next(records, Record(1, []))
    fits = [record.is_as_long_as(header) for record in records]
    return len(fits), all(fits)


def _looks_like_table(source: Source, delimiter: str) -> bool:
    head = io.StringIO(source.head, newline="")
    try:
        records = list(_records(head, delimiter, strict=False))
    except TaggerError:
        return False
    if not source.is_short:
        records.pop()
    for number, header in enumerate(map(_without_trailing_blanks, records[:HEADER_WITHIN])):
        if len(header.cells) < 2 or not has_title(header.cells, source.columns):
            continue
        rows = records[number + 1 :]
        if any(len(name) > _MAX_COLUMN_NAME for name in header.cells):
            return False
        if not rows:
            return header.line == 1 or source.is_short
        regular = sum(row.is_as_long_as(header) for row in rows)
        # In a digest page a blank line follows, and the number of commas varies.
        return bool(rows[0].cells) and 2 * regular >= sum(bool(row.cells) for row in rows)
    return False


def _find_dialect(source: Source) -> tuple[str, int]:
    """Return the delimiter, and the number of non-blank records above the header."""
    found = []
    for order, delimiter in enumerate(DELIMITERS):
        start = islice(_content(source, delimiter, strict=False), HEADER_WITHIN)
        best = (HEADER_WITHIN, 0, order)
        for number, (_, cells) in enumerate(start):
            if has_title(cells, source.columns):
                best = (number, -len(cells), order)
                break
            if number == 0:
                best = (HEADER_WITHIN, -len(cells), order)
        found.append(best)
    number, _, order = min(found)
    return DELIMITERS[order], number % HEADER_WITHIN


def _content(
    source: Source, delimiter: str, *, strict: bool = True, quotes: bool = True
) -> Iterator[Record]:
    """Yield the records that are not blank, reading the file lazily."""
    with source.open_text() as file:
        for record in _records(file, delimiter, strict=strict, quotes=quotes):
            if any(cell.strip() for cell in record.cells):
                yield record


def _records(
    lines: Iterable[str], delimiter: str, *, strict: bool, quotes: bool = True
) -> Iterator[Record]:
    """Yield the records of some lines; with ``strict`` an unclosed quote is an error."""
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        strict=strict,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    )
    line = 1
    try:
        while (cells := _next(reader)) is not None:
            yield Record(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise TaggerError(
            f"a quoted cell is not closed correctly ({error})",
            line=line,
            hint='End the cell with a quote, and write a quote inside it as ""',
        ) from error


def _without_trailing_blanks(header: Record) -> Record:
    """Remove the blank cells at the end of a header."""
    size = max((n for n, cell in enumerate(header.cells, start=1) if cell.strip()), default=0)
    return Record(header.line, header.cells[:size])


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    """Return the next row, or None at the end, with a raised limit on the size of a cell."""
    before = csv.field_size_limit(_MAX_CELL)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)
