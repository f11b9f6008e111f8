"""Reader for CSV and TSV: delimiter, quoting and encoding are told from the content."""

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
_LONGEST_CELL = 2**31 - 1
"""More does not fit into a C long everywhere."""
_LONGEST_NAME = 60
"""A longer cell is a sentence, not the name of a column."""


class Record(NamedTuple):
    """One row of a table, and the line that it begins at."""

    line: int
    cells: list[str]

    def is_as_long_as(self, header: Record) -> bool:
        """Tell whether it has as many cells as the header, but for empty ones beyond it."""
        size = len(header.cells)
        return len(self.cells) >= size and not any(cell.strip() for cell in self.cells[size:])


def recognise(source: Source) -> bool:
    """Tell a table from a page by a header and rows of as many cells below it."""
    return not source.is_folder and any(_looks_like_table(source, mark) for mark in DELIMITERS)


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the papers of a CSV or TSV file, one a row, or why a row is none."""
    records = read_records(source)
    header = next(records, None)
    if header is None:
        raise TaggerError("nothing but blank lines")
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
                hint="Put cells that hold the delimiter or a line break into quotes",
            )


def read_records(source: Source) -> Iterator[Record]:
    """Yield the header of a CSV or TSV file, and the records with content below it.

    The delimiter is the one under which a header with a title comes first and has most columns.
    Where tabs delimit, quotes may be part of the text.
    """
    delimiter, skipped = _find_dialect(source)
    quotes = delimiter != "\t" or _quotes_are_of_cells(source, skipped)
    return _table(source, delimiter, skipped, quotes=quotes)


def _table(source: Source, delimiter: str, skipped: int, *, quotes: bool) -> Iterator[Record]:
    records = islice(_content(source, delimiter, quotes=quotes), skipped, None)
    for header in islice(records, 1):
        yield _without_blank_end(header)
        yield from records


def _quotes_are_of_cells(source: Source, skipped: int) -> bool:
    """Tell whether quotes of a table with tabs are of cells: they pair, and swallow no rows."""
    plain, is_even = _count(_table(source, "\t", skipped, quotes=False))
    try:
        quoted, is_even_quoted = _count(_table(source, "\t", skipped, quotes=True))
    except TaggerError:
        return False
    return not (is_even and (quoted < plain or not is_even_quoted))


def _count(records: Iterator[Record]) -> tuple[int, bool]:
    """Return the number of records below the header, and whether all have its length."""
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
    for number, header in enumerate(map(_without_blank_end, records[:HEADER_WITHIN])):
        if len(header.cells) < 2 or not has_title(header.cells, source.columns):
            continue
        rows = records[number + 1 :]
        if any(len(name) > _LONGEST_NAME for name in header.cells):
            return False
        if not rows:
            return header.line == 1 or source.is_short
        even = sum(row.is_as_long_as(header) for row in rows)
        # On a page the next line is blank, and paragraphs hold commas as they please.
        return bool(rows[0].cells) and 2 * even >= sum(bool(row.cells) for row in rows)
    return False


def _find_dialect(source: Source) -> tuple[str, int]:
    """Return the delimiter, and the number of records with content above the header."""
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
    """Yield the records with content, reading as far as they are asked for."""
    with source.open_text() as file:
        for record in _records(file, delimiter, strict=strict, quotes=quotes):
            if any(cell.strip() for cell in record.cells):
                yield record


def _records(
    lines: Iterable[str], delimiter: str, *, strict: bool, quotes: bool = True
) -> Iterator[Record]:
    """Yield records of lines; if ``strict``, quotes have to be closed."""
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
            f"a cell in quotes does not end as it should ({error})",
            line=line,
            hint="Close it with a quote; write a quote inside it twice",
        ) from error


def _without_blank_end(header: Record) -> Record:
    """Take off the blank cells at the end of a header, such as a last tab makes."""
    size = max((n for n, cell in enumerate(header.cells, start=1) if cell.strip()), default=0)
    return Record(header.line, header.cells[:size])


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    """Return the next row, None at the end; the limit of cells is lifted for this row alone."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)
