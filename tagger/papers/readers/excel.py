"""Reader for Excel workbooks (``.xlsx``): the first sheet with a title column."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.columns import HEADER_WITHIN, Columns, has_column
from tagger.papers.readers.source import Source, parsing

_ZIP = b"PK\x03\x04"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAX_ROWS = 1_048_576
_MAX_COLUMNS = 1024
"""Cells further to the right are ignored: a single one of them would make a row of 16,384 cells."""
_MAX_MISSING = 2 * _MAX_ROWS
_MAX_BYTES = 2 * 1024**3
_FREE_BYTES = 64 * 1024**2
_MAX_RATIO = 100
"""Limits on the unpacked size: ``_MAX_BYTES``, and above ``_FREE_BYTES`` the ratio to the packed
size (the ratio that Apache POI uses). Larger workbooks are decompression bombs or mistakes."""

_Row = tuple[int, tuple[Any, ...]]
"""The number of a row, from 1, and its cells."""


def recognise(source: Source) -> bool:
    """Recognise a workbook by its first bytes, also an old ``.xls`` one, which ``read`` refuses."""
    return source.start.startswith((_ZIP, _OLD_EXCEL))


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each row of the first sheet with a title column, or an error for a row.

    If there is no such sheet, the first row that is not blank is the header.
    """
    if source.start.startswith(_OLD_EXCEL):
        raise TaggerError("is an Excel 97-2003 workbook (.xls)", hint="Save it as .xlsx")
    with parsing("an Excel workbook"):
        content = source.data
        _check_unpacked_size(content)
        (number, names), rows = _find_sheet(content, source)
        columns = Columns.find(names, source, number)
        for number, cells in rows:
            # A row ends with its last non-empty cell, so it may be too short.
            missing = max(columns.positions.values()) + 1 - len(cells)
            yield columns.paper((*cells, *[None] * missing), source, number)


def _find_sheet(content: bytes, source: Source) -> tuple[_Row, Iterator[_Row]]:
    import openpyxl

    with warnings.catch_warnings():
        # openpyxl warns about styles, validation and drawings, which are not read.
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(
            io.BytesIO(content), read_only=True, data_only=True, keep_links=False
        )
        first: _Row | None = None
        missing = count(1)
        for sheet in book.worksheets:
            # The declared size of a sheet is often wrong.
            sheet.reset_dimensions()
            rows = _rows_without_blanks(sheet, missing)
            for header in islice(rows, HEADER_WITHIN):
                if has_column("title", header[1], source.columns):
                    return header, rows
                first = first or header
    if first is None:
        raise TaggerError("the workbook is empty")
    return first, iter(())


def _rows_without_blanks(sheet: Any, missing: Iterator[int]) -> Iterator[_Row]:
    rows = sheet.iter_rows(values_only=True, max_row=_MAX_ROWS, max_col=_MAX_COLUMNS)
    before = None
    for number, cells in enumerate(rows, start=1):
        # openpyxl yields the same object for all rows that the file leaves out.
        if cells is before:
            if next(missing) > _MAX_MISSING:
                raise TaggerError(
                    "the sheets have too many blank rows", hint="Remove blank rows and sheets"
                )
            continue
        before = cells
        if any(cell is not None and str(cell).strip() for cell in cells):
            yield number, tuple(cells)


def _check_unpacked_size(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if not any("xl/" in name for name in archive.namelist()):
            raise TaggerError("is a ZIP archive, not a workbook", hint="Unpack it or save as .xlsx")
        unpacked = sum(entry.file_size for entry in archive.infolist())
    packed = len(content)
    if unpacked > min(_MAX_BYTES, max(_FREE_BYTES, _MAX_RATIO * packed)):
        raise TaggerError(
            f"the workbook takes {unpacked / 1e6:,.0f} MB unpacked, {unpacked // packed:,} times "
            "the size of the file, which is not plausible for a list of papers"
        )
