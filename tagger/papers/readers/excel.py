"""Reader for Excel workbooks (``.xlsx``): the first sheet with a header that fits."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.columns import HEADER_WITHIN, Columns, has_title
from tagger.papers.readers.source import Source, parsing

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

_Row = tuple[int, tuple[Any, ...]]
"""The number of a row, from 1, and its cells."""


def recognise(source: Source) -> bool:
    """Tell a workbook by its first bytes; one of before 2007, too, to be told about it."""
    return source.start.startswith((_ZIP, _OLD_EXCEL))


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the papers of the first sheet that has a title column, one a row, or why a row is none.

    Without such a sheet, the first row with content of all is taken for the header.
    """
    if source.start.startswith(_OLD_EXCEL):
        raise TaggerError("is a workbook of before Excel 2007", hint="Save it as .xlsx")
    with parsing("Excel workbook"):
        content = source.data
        _refuse_traps(content)
        (number, names), rows = _find_sheet(content, source)
        columns = Columns.find(names, source, number)
        for number, cells in rows:
            # A row ends with its last cell.
            width = max(columns.positions.values()) + 1 - len(cells)
            yield columns.paper((*cells, *[None] * width), source, number)


def _find_sheet(content: bytes, source: Source) -> tuple[_Row, Iterator[_Row]]:
    """Return the header, and the rows with content below it."""
    import openpyxl

    with warnings.catch_warnings():
        # Of what else a workbook holds: styles, validation, drawings.
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(
            io.BytesIO(content), read_only=True, data_only=True, keep_links=False
        )
        first: _Row | None = None
        missing = count(1)
        for sheet in book.worksheets:
            # What a sheet says of its size is often wrong.
            sheet.reset_dimensions()
            rows = _rows_with_content(sheet, missing)
            for header in islice(rows, HEADER_WITHIN):
                if has_title(header[1], source.columns):
                    return header, rows
                first = first or header
    if first is None:
        raise TaggerError("is a workbook without content")
    return first, iter(())


def _rows_with_content(sheet: Any, missing: Iterator[int]) -> Iterator[_Row]:
    rows = sheet.iter_rows(values_only=True, max_row=_MOST_ROWS, max_col=_MOST_COLUMNS)
    before = None
    for number, cells in enumerate(rows, start=1):
        # One and the same stands for all rows that the file jumps over.
        if cells is before:
            if next(missing) > _MOST_MISSING:
                raise TaggerError("the sheets have more missing rows than a list of papers can")
            continue
        before = cells
        if any(cell is not None and str(cell).strip() for cell in cells):
            yield number, tuple(cells)


def _refuse_traps(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    packed = len(content)
    if unpacked > min(_MOST_BYTES, max(_ANY_BYTES, _MOST_TIMES * packed)):
        raise TaggerError(
            f"would take {unpacked / 1e6:,.0f} MB unpacked, {unpacked // packed:,} times its size"
        )
