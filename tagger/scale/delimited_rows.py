"""CSV and TSV at scale: records are told from lines once, then read from any record on."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from tagger.errors import TaggerError
from tagger.readers.columns import HEADER_WITHIN, Columns, has_title
from tagger.readers.delimited import (
    DELIMITERS,
    Record,
    _fits,
    _fitting,
    _has_content,
    _without_blank_end,
)
from tagger.readers.source import Source
from tagger.scale.shards import Cut, Row, Shard, Table
from tagger.scale.storage import StoredFile, reading

_LONGEST_CELL = 2**31 - 1
_MARK = "\ufeff"


class _Placed(NamedTuple):
    """A record, and the byte that it begins at."""

    start: int
    record: Record


class _Layout(NamedTuple):
    """Records below the header, and whether all of them are as long as it."""

    header: Record | None
    cuts: tuple[Cut, ...]
    rows: int
    even: bool


def scan_delimited(
    file: StoredFile, source: Source, columns: Mapping[str, str], rows_per_shard: int
) -> Table:
    """Find delimiter, header and where shards begin, as :mod:`tagger.readers.delimited` does.

    Raises
    ------
    TaggerError
        If it is no UTF-8 text, a quote is not closed, or no column holds the title.
    """
    digest = hashlib.sha256()
    delimiter, skipped = _dialect(file.place, columns)
    quotes = True
    layout = None
    try:
        layout = _layout(file.place, delimiter, quotes, skipped, rows_per_shard, digest.update)
    except TaggerError:
        if delimiter != "\t":
            raise
    if delimiter == "\t":
        # Quotes may be part of the text; told as the reader of small tables tells it.
        digest = hashlib.sha256()
        plain = _layout(file.place, delimiter, False, skipped, rows_per_shard, digest.update)
        if layout is None or (plain.even and (layout.rows < plain.rows or not layout.even)):
            quotes, layout = False, plain
    if layout is None or layout.header is None:
        raise TaggerError("nothing but blank lines", path=file.place)
    Columns.find(layout.header.cells, source, layout.header.line)
    return Table(
        place=file.place,
        name=source.name,
        size=file.size,
        changed=file.changed,
        format="csv",
        digest=digest.hexdigest(),
        names=tuple(layout.header.cells),
        columns=columns,
        delimiter=delimiter,
        quotes=quotes,
        cuts=layout.cuts,
    )


def delimited_rows(shard: Shard) -> Iterator[Row]:
    """Yield the rows of a shard.

    Raises
    ------
    TaggerError
        If the file cannot be read.
    """
    table, cut = shard.table, shard.cut
    header = Record(0, list(table.names))
    records = _records(table.place, table.delimiter, table.quotes, cut.start)
    for _, (line, cells) in islice(records, cut.rows):
        record = Record(cut.line + line - 1, cells)
        given = dict(zip(table.names, cells, strict=False))
        try:
            yield Row(record.line, _fitting(record, header).cells, "", given)
        except TaggerError as error:
            yield Row(record.line, None, error.problem, table.delimiter.join(cells))


def _layout(
    place: str,
    delimiter: str,
    quotes: bool,
    skipped: int,
    rows_per_shard: int,
    note: Callable[[bytes], None],
) -> _Layout:
    records = _records(place, delimiter, quotes, note=note)
    header: Record | None = None
    cuts: list[Cut] = []
    start = line = rows = total = 0
    even = True
    for position, record in islice(records, skipped, None):
        if header is None:
            header = _without_blank_end(record)
            continue
        even = even and _fits(record.cells, header)
        total += 1
        if rows == 0:
            start, line = position, record.line
        rows += 1
        if rows == rows_per_shard:
            cuts.append(Cut(start=start, line=line, rows=rows))
            rows = 0
    if rows:
        cuts.append(Cut(start=start, line=line, rows=rows))
    return _Layout(header, tuple(cuts), total, even)


def _dialect(place: str, columns: Mapping[str, str]) -> tuple[str, int]:
    """Return the delimiter, and the number of records with content above the header."""
    found = []
    for order, delimiter in enumerate(DELIMITERS):
        start = islice(_records(place, delimiter, True, strict=False), HEADER_WITHIN)
        for number, (_, (_, names)) in enumerate(start):
            if has_title(names, columns):
                found.append((number, -len(names), order))
                break
            if number == 0:
                found.append((HEADER_WITHIN, -len(names), order))
    if not found:
        return DELIMITERS[0], 0
    number, _, order = min(found)
    return DELIMITERS[order], number % HEADER_WITHIN


def _records(
    place: str,
    delimiter: str,
    quotes: bool,
    offset: int = 0,
    *,
    strict: bool = True,
    note: Callable[[bytes], None] = lambda _: None,
) -> Iterator[_Placed]:
    """Yield the records with content from a byte on; lines are counted from there."""
    position, taken = offset, offset

    def counted(lines: Iterable[str]) -> Iterator[str]:
        nonlocal position
        for text in lines:
            content = text.encode("utf-8")
            note(content)
            position += len(content)
            yield text.removeprefix(_MARK) if position == len(content) else text

    with reading(place, offset) as raw, io.TextIOWrapper(raw, "utf-8", newline="") as text:
        reader = csv.reader(
            counted(text),
            delimiter=delimiter,
            strict=strict,
            quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        )
        line = 1
        try:
            while (cells := _next(reader)) is not None:
                record = Record(line, cells)
                if _has_content(record):
                    yield _Placed(taken, record)
                line, taken = reader.line_num + 1, position
        except csv.Error as error:
            raise TaggerError(
                f"a cell in quotes does not end as it should ({error})",
                path=place,
                line=line,
                hint="Close it with a quote; write a quote inside it twice",
            ) from error
        except UnicodeDecodeError as error:
            raise TaggerError(
                f"is not UTF-8 text (byte 0x{error.object[error.start]:02x})",
                path=place,
                line=line,
                hint="Convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8",
            ) from error


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    """Return the next row; the limit of a cell is one of the whole program, lifted for a row."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)
