"""CSV and TSV at scale: records are told from lines once, then read from any record on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from tagger.errors import TaggerError
from tagger.readers.columns import Columns
from tagger.readers.delimited import (
    Record,
    find_dialect,
    fits_header,
    fitted,
    has_content,
    header_of,
    read_records,
)
from tagger.readers.source import Source
from tagger.scale.shards import Cut, Row, Shard, Table
from tagger.scale.storage import StoredFile, reading

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

    Parameters
    ----------
    file:
        The file.
    source:
        Its beginning, whole lines.
    columns, rows_per_shard:
        As for :func:`tagger.scale.tables.scan_table`.

    Raises
    ------
    TaggerError
        If it is no UTF-8 text, a quote is not closed, or no column holds the title.
    """
    digest = hashlib.sha256()
    delimiter, skipped = find_dialect(source)
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
        fit = fitted(record, header)
        if isinstance(fit, TaggerError):
            yield Row(record.line, None, fit.problem, table.delimiter.join(cells))
        else:
            yield Row(record.line, fit.cells, "", given)


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
            header = header_of(record)
            continue
        even = even and fits_header(record.cells, header)
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


def _records(
    place: str,
    delimiter: str,
    quotes: bool,
    offset: int = 0,
    *,
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
        try:
            for record in read_records(counted(text), delimiter, quotes=quotes):
                if has_content(record):
                    yield _Placed(taken, record)
                taken = position
        except TaggerError as error:
            raise TaggerError(
                error.problem, path=place, line=error.line, hint=error.hint
            ) from error
        except UnicodeDecodeError as error:
            raise TaggerError(
                f"is not UTF-8 text (byte 0x{error.object[error.start]:02x})",
                path=place,
                hint="Convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8",
            ) from error
