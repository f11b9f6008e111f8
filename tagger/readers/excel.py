"""Reader for Excel workbooks (``.xlsx``): the first sheet with a header that fits."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from itertools import count, islice
from typing import Any, NamedTuple

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.columns import HEADER_WITHIN, Columns, has_title
from tagger.readers.source import Source

_ZIP = b"PK\x03\x04"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MOST_ROWS = 1_048_576
_MOST_COLUMNS = 1024
"""Cells further to the right are not looked at: one of them makes a row of 16,384."""
_MOST_MISSING = 2 * _MOST_ROWS
_MOST_BYTES = 2 * 1024**3
_ANY_BYTES = 64 * 1024**2
_MOST_TIMES = 100
"""More than this unpacked is no list of papers, but a trap or a mistake: in all, or if it is not
little anyway, beside its size packed (the ratio at which Apache POI draws the line)."""


class Row(NamedTuple):
    """One row of a sheet, counted from 1, and its cells."""

    number: int
    cells: tuple[Any, ...]


def is_excel(source: Source) -> bool:
    """Tell a workbook by its first bytes; one of before 2007, too, to be told about it."""
    return source.start.startswith((_ZIP, _OLD_EXCEL))


def read_excel(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the papers of a workbook, one a row, or why a row is none; the row is given as line.

    Raises
    ------
    TaggerError
        If it is no workbook, or no sheet has a header with a title.
    """
    columns, rows = read_sheet(source)
    for row in rows:
        yield columns.paper(row.cells, source, row.number)


def read_sheet(source: Source) -> tuple[Columns, list[Row]]:
    """Read the first sheet that has a title column: the rows with content below its header.

    Without such a sheet, the first row with content of all is taken for the header. Of the rows
    only the cells that the columns speak of are kept, for a row may have 16,384.

    Raises
    ------
    TaggerError
        If it is no workbook, or an empty one, or no sheet has a header with a title.
    """
    if source.data.startswith(_OLD_EXCEL):
        raise TaggerError(
            "is a workbook of before Excel 2007", path=source.path, hint="Save it as .xlsx"
        )
    _refuse_traps(source)
    import openpyxl

    first: Row | None = None
    try:
        with warnings.catch_warnings():
            # Of what else a workbook holds: styles, validation, drawings.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(
                io.BytesIO(source.data), read_only=True, data_only=True, keep_links=False
            )
            missing = count(1)
            for sheet in book.worksheets:
                # What a sheet says of its size is often wrong.
                sheet.reset_dimensions()
                rows = _rows_with_content(sheet, missing)
                for header in islice(rows, HEADER_WITHIN):
                    if has_title(header.cells, source.columns):
                        return _read_columns(header, rows, source)
                    first = first or header
    except TaggerError:
        raise
    except Exception as error:  # a broken file makes it raise nearly anything
        raise TaggerError(
            f"is no Excel workbook that can be read ({_reason(error)})", path=source.path
        ) from error
    if first is None:
        raise TaggerError("is a workbook without content", path=source.path)
    return _read_columns(first, iter(()), source)


def _rows_with_content(sheet: Any, missing: Iterator[int]) -> Iterator[Row]:
    rows = sheet.iter_rows(values_only=True, max_row=_MOST_ROWS, max_col=_MOST_COLUMNS)
    before = None
    for number, cells in enumerate(rows, start=1):
        # One and the same stands for all rows that the file jumps over.
        if cells is before:
            if next(missing) > _MOST_MISSING:
                raise TaggerError("consists of missing rows")
            continue
        before = cells
        if any(cell is not None and str(cell).strip() for cell in cells):
            yield Row(number, tuple(cells))


def _read_columns(header: Row, rows: Iterator[Row], source: Source) -> tuple[Columns, list[Row]]:
    columns = Columns.find(header.cells, source, header.number)
    kept = [
        Row(
            number,
            tuple(
                cells[position] if position < len(cells) else None
                for position in columns.positions.values()
            ),
        )
        for number, cells in rows
    ]
    if not kept:
        raise TaggerError(
            "no papers in this sheet, only a header", path=source.path, line=header.number
        )
    return Columns({field: place for place, field in enumerate(columns.positions)}), kept


def _refuse_traps(source: Source) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:  # as above
        raise TaggerError(
            f"is no Excel workbook that can be read ({_reason(error)})", path=source.path
        ) from error
    packed = len(source.data)
    if unpacked > min(_MOST_BYTES, max(_ANY_BYTES, _MOST_TIMES * packed)):
        raise TaggerError(
            f"would take {unpacked / 1e6:,.0f} MB unpacked, {unpacked // packed:,} times its size",
            path=source.path,
        )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
