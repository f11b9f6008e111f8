"""Reader for CSV and TSV: delimiter, quoting and encoding are told from the content."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.columns import HEADER_WITHIN, Columns, has_title
from tagger.readers.source import Source

DELIMITERS = (",", "\t", ";", "|")
_SUFFIXES = (".csv", ".tsv")
_LONGEST_CELL = 2**31 - 1
"""More does not fit into a C long everywhere."""
_LONGEST_NAME = 60
"""A longer cell is a sentence, not the name of a column."""


class Record(NamedTuple):
    """One row of a table, and the line that it begins at."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """A header and the rows below it, all of the header's length."""

    header: Record
    rows: list[Record]


def is_delimited(source: Source) -> bool:
    """Tell a table from a page: by its name, or by a header and rows of as many cells below it."""
    if source.is_folder:
        return False
    if source.path.suffix.lower() in _SUFFIXES:
        return True
    return any(_looks_like_table(source, delimiter) for delimiter in DELIMITERS)


def read_delimited(source: Source) -> Iterator[Paper]:
    """Yield the papers of a CSV or TSV file, one a row.

    Raises
    ------
    TaggerError
        If it is no table, no column holds the title, or a row is broken; the line is given.
    """
    table = read_table(source)
    columns = Columns.find(table.header.cells, source, table.header.line)
    if not table.rows:
        raise TaggerError(
            "no papers in this table, only a header", path=source.path, line=table.header.line
        )
    for row in table.rows:
        yield columns.paper(row.cells, source, row.line)


def read_table(source: Source) -> Table:
    """Read a CSV or TSV file; rows without any content are left out.

    The delimiter is the one under which a header with a title comes first and has most columns.
    Where tabs delimit, quotes may be part of the text.

    Raises
    ------
    TaggerError
        If there is nothing in it, a quote is not closed, or a row has more or fewer cells than
        the header; the line is given.
    """
    text = source.table_text
    with _cells_of_any_length():
        delimiter, skipped = _dialect(text, source.columns)
        if delimiter == "\t":
            records = _tabbed_records(text, skipped)
        else:
            records = [*filter(_has_content, _records(text, delimiter))]
    if not records:
        raise TaggerError("nothing but blank lines", path=source.path)
    header = _without_blank_end(records[skipped])
    return Table(header, [_fitting(record, header) for record in records[skipped + 1 :]])


def _tabbed_records(text: str, skipped: int) -> list[Record]:
    """Return the records of a table whose quotes may be quotes of cells, or part of the text.

    They are part of the text if they do not pair, or if every line is then a row, and fewer are
    otherwise: a quote that opens in one row and closes in another would swallow what is between.
    """
    plain = [*filter(_has_content, _records(text, "\t", quotes=False))]
    try:
        quoted = [*filter(_has_content, _records(text, "\t"))]
    except TaggerError:
        return plain
    if _is_even(plain, skipped) and (len(quoted) < len(plain) or not _is_even(quoted, skipped)):
        return plain
    return quoted


def _is_even(records: Sequence[Record], skipped: int) -> bool:
    header = _without_blank_end(records[skipped])
    return all(_fits(record.cells, header) for record in records[skipped + 1 :])


def _looks_like_table(source: Source, delimiter: str) -> bool:
    whole = len(source.start) == len(source.data)
    try:
        records = list(_records(source.head, delimiter, strict=False))
    except TaggerError:
        return False
    if not whole:
        records.pop()
    for number, header in enumerate(map(_without_blank_end, records[:HEADER_WITHIN])):
        line, names = header
        if len(names) < 2 or not has_title(names, source.columns):
            continue
        if any(len(name) > _LONGEST_NAME for name in names):
            return False
        rows = records[number + 1 :]
        if not rows:
            return line == 1 or whole
        even = sum(_fits(cells, header) for _, cells in rows)
        # On a page the next line is blank, and paragraphs hold commas as they please.
        return bool(rows[0].cells) and 2 * even >= sum(bool(cells) for _, cells in rows)
    return False


def _dialect(text: str, columns: Mapping[str, str]) -> tuple[str, int]:
    """Return the delimiter, and the number of records with content above the header."""
    found = []
    for order, delimiter in enumerate(DELIMITERS):
        start = filter(_has_content, _records(text, delimiter, strict=False))
        for number, (_, names) in enumerate(islice(start, HEADER_WITHIN)):
            if has_title(names, columns):
                found.append((number, -len(names), order))
                break
            if number == 0:
                # Without any title: the delimiter that makes most cells of the first line.
                found.append((HEADER_WITHIN, -len(names), order))
    if not found:
        return DELIMITERS[0], 0
    number, _, order = min(found)
    return DELIMITERS[order], number % HEADER_WITHIN


def _records(
    text: str, delimiter: str, *, strict: bool = True, quotes: bool = True
) -> Iterator[Record]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        strict=strict,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    )
    line = 1
    try:
        for cells in reader:
            yield Record(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise TaggerError(
            f"a cell in quotes does not end as it should ({error})",
            line=line,
            hint="Close it with a quote; write a quote inside it twice",
        ) from error


def _has_content(record: Record) -> bool:
    return any(cell.strip() for cell in record.cells)


def _without_blank_end(record: Record) -> Record:
    """Take off the blank cells at the end of a header, such as a last tab makes."""
    size = max((n for n, cell in enumerate(record.cells, start=1) if cell.strip()), default=0)
    return Record(record.line, record.cells[:size])


def _fits(cells: Sequence[str], header: Record) -> bool:
    """Tell whether a row has as many cells as the header, but for empty ones beyond it."""
    size = len(header.cells)
    return len(cells) >= size and not any(cell.strip() for cell in cells[size:])


def _fitting(record: Record, header: Record) -> Record:
    """Take off empty cells beyond the header; refuse a row of another length."""
    size = len(header.cells)
    if not _fits(record.cells, header):
        count = len(record.cells)
        raise TaggerError(
            f"the row has {count} {'cell' if count == 1 else 'cells'}, the header has {size}",
            line=record.line,
            hint="Put cells that hold the delimiter or a line break into quotes",
        )
    return Record(record.line, record.cells[:size])


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)
