"""Contents to read, and what readers say of those that they cannot read."""

import io
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from tagger.errors import TaggerError
from tagger.papers.readers.source import Source


def source(content, name="given.txt", **columns):
    """Return a source that holds a text or bytes; columns are chosen by field."""
    given = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return Source(name, Path(name), columns, given)


def refusal(read, given):
    """Return the first error that reading raises, or yields in place of a row; None if none."""
    try:
        return next((row for row in read(given) if isinstance(row, TaggerError)), None)
    except TaggerError as error:
        return error


def texts(papers):
    """Return the title and the abstract of each paper."""
    return [(paper.title, paper.abstract) for paper in papers]


def workbook(*rows, before=()):
    """Return an Excel workbook of a sheet of rows, and sheets before it; no text is a formula."""
    book = openpyxl.Workbook()
    for number, table in enumerate([*before, rows]):
        sheet = book.create_sheet() if number else book.active
        for row in table:
            sheet.append(row)
        for cell in (cell for row in sheet.iter_rows() for cell in row):
            if isinstance(cell.value, str):
                cell.data_type = "s"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet(table, **options):
    """Return a Parquet file of columns."""
    file = io.BytesIO()
    pq.write_table(pa.table(table), file, **options)
    return file.getvalue()
